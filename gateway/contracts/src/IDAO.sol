// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {ERC1155Holder} from "@openzeppelin/contracts/token/ERC1155/utils/ERC1155Holder.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IIDAO} from "./IIDAO.sol";

/// @title IDAO
/// @notice The on-chain unit of participation: it owns DATs and devices and holds a treasury.
/// One owner controls it; operators, the hot keys of its gateways, may only register devices,
/// commit and finalise. Deployed as a minimal clone by {IDAOFactory}; its code never changes.
contract IDAO is IIDAO, IERC1271, Initializable, ERC721Holder, ERC1155Holder {
    /// @notice What an iDAO is created with; the tuple of LazAI's `initialize`.
    struct InitParams {
        address ownerAddress;
        address tokenAddress;
        address verifiedComputingAddress;
        address settlementAddress;
        string name;
        string description;
    }

    /// @inheritdoc IIDAO
    address public override owner;
    /// @notice Who may take ownership with {acceptOwnership}; zero when no hand-over is under way.
    address public pendingOwner;
    /// @inheritdoc IIDAO
    address public override token;
    /// @inheritdoc IIDAO
    address public override verifiedComputing;
    /// @inheritdoc IIDAO
    address public override settlement;
    /// @inheritdoc IIDAO
    string public override name;
    /// @inheritdoc IIDAO
    string public override description;
    /// @inheritdoc IIDAO
    mapping(address account => bool) public override isOperator;

    event OperatorSet(address indexed operator, bool allowed);
    event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event Executed(address indexed target, uint256 value, bytes data);
    event Received(address indexed from, uint256 value);

    /// @notice The caller is not the iDAO's owner.
    error NotOwner(address caller);
    /// @notice The caller was not named as the next owner.
    error NotPendingOwner(address caller);
    /// @notice An owner or operator cannot be the zero address.
    error ZeroAddress();
    /// @notice Data sent to an address without code would do nothing and look like success.
    error TargetHasNoCode(address target);

    modifier onlyOwner() {
        _checkOwner();
        _;
    }

    /// @dev The implementation itself belongs to nobody and stays unusable.
    constructor() {
        _disableInitializers();
    }

    /// @notice Sets up a fresh clone. The factory calls it in the transaction that creates it.
    function initialize(InitParams calldata params) external initializer {
        if (params.ownerAddress == address(0)) revert ZeroAddress();
        owner = params.ownerAddress;
        token = params.tokenAddress;
        verifiedComputing = params.verifiedComputingAddress;
        settlement = params.settlementAddress;
        name = params.name;
        description = params.description;
        emit OwnershipTransferred(address(0), params.ownerAddress);
    }

    receive() external payable {
        emit Received(msg.sender, msg.value);
    }

    /// @notice Allows or withdraws a gateway's hot key.
    function setOperator(address operator, bool allowed) external onlyOwner {
        if (operator == address(0)) revert ZeroAddress();
        isOperator[operator] = allowed;
        emit OperatorSet(operator, allowed);
    }

    /// @notice Names the next owner, who must accept. Zero calls a hand-over off.
    function transferOwnership(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(owner, newOwner);
    }

    /// @notice Takes ownership; only for the account named by {transferOwnership}.
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner(msg.sender);
        emit OwnershipTransferred(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }

    /// @notice Lets the owner act as the iDAO: move tokens, pay, set licences, claim revenue.
    /// Reverts with the callee's own reason when the call fails.
    function execute(address target, uint256 value, bytes calldata data)
        external
        payable
        onlyOwner
        returns (bytes memory result)
    {
        if (data.length > 0 && target.code.length == 0) revert TargetHasNoCode(target);
        emit Executed(target, value, data);
        bool success;
        (success, result) = target.call{value: value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    /// @notice ERC-1271: a signature of the owner is a signature of the iDAO.
    /// @dev `hash` is not bound to this contract here. Protocols that take such signatures must
    /// bind the account in what they hash, as ERC-2612, Permit2 and SIWE do.
    function isValidSignature(bytes32 hash, bytes calldata signature)
        external
        view
        override
        returns (bytes4)
    {
        address owner_ = owner;
        // An owner that is a contract, a multisig say, answers for itself.
        if (owner_.code.length > 0) return IERC1271(owner_).isValidSignature(hash, signature);
        (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecover(hash, signature);
        bool valid = fault == ECDSA.RecoverError.NoError && signer == owner_;
        return valid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    /// @inheritdoc IIDAO
    function canForge(address account) external view override returns (bool) {
        return account == owner || isOperator[account];
    }

    /// @inheritdoc IIDAO
    function version() external pure override returns (uint256) {
        return 1;
    }

    function _checkOwner() private view {
        if (msg.sender != owner) revert NotOwner(msg.sender);
    }
}
