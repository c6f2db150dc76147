// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {ERC1155Holder} from "@openzeppelin/contracts/token/ERC1155/utils/ERC1155Holder.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IDATCore} from "./IDATCore.sol";
import {IIDAO} from "./IIDAO.sol";

/// @title IDAO
/// @notice The on-chain unit of participation: it owns DATs and devices and holds a treasury.
/// One owner controls it; operators, the hot keys of its gateways, may only register devices,
/// commit and finalise, until a time and so many datasets a day; members do what their roles
/// allow. Deployed as a minimal clone by {IDAOFactory}; its code never changes.
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

    // Roles of members, bits of a mask. None of them moves a dataset's token or the bond.

    /// @notice Belongs to the iDAO; no rights follow.
    uint8 public constant ROLE_MEMBER = 1;
    /// @notice May register and revoke devices and gateways.
    uint8 public constant ROLE_REGISTRAR = 2;
    /// @notice May issue licences for datasets that the iDAO holds.
    uint8 public constant ROLE_LICENSOR = 4;
    /// @notice May pay from the treasury in the chain's own coin.
    uint8 public constant ROLE_TREASURER = 8;
    uint8 private constant ROLES_ALL = 15;

    /// @notice A gateway's hot key: a stolen one does harm until `until`, and only so much a day.
    /// @param until last second of its rights (Unix seconds); 0: they do not end
    /// @param datasetsPerDay that it may commit on one day (UTC); 0: any number
    struct Operator {
        bool allowed;
        uint40 until;
        uint32 datasetsPerDay;
    }

    mapping(address account => Operator) private _operators;
    /// @notice Roles of a member, a mask of the ROLE constants; 0: no member.
    mapping(address account => uint8 roles) public rolesOf;

    event OperatorSet(address indexed operator, bool allowed);
    /// @notice Comes with {OperatorSet} where an operator's rights are limited.
    event OperatorLimited(address indexed operator, uint40 until, uint32 datasetsPerDay);
    /// @notice `roles` are all that the member has from now on.
    event RolesSet(address indexed member, uint8 roles);
    event Paid(address indexed by, address indexed to, uint256 amount);
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
    /// @notice The caller is neither the owner nor a member with the role.
    error RoleNeeded(address caller, uint8 role);
    /// @notice No such role.
    error UnknownRoles(uint8 roles);
    /// @notice The rights would have ended already.
    error UntilInPast(uint40 until);
    /// @notice Data sent to an address without code would do nothing and look like success.
    error TargetHasNoCode(address target);

    modifier onlyOwner() {
        _checkOwner();
        _;
    }

    modifier onlyRole(uint8 role) {
        _checkRole(role);
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

    /// @notice Allows a gateway's hot key for ever and without limit, or withdraws it.
    function setOperator(address operator, bool allowed) external onlyOwner {
        _setOperator(operator, Operator(allowed, 0, 0));
    }

    /// @notice Allows a gateway's hot key until a time, and so many datasets a day.
    function limitOperator(address operator, uint40 until, uint32 datasetsPerDay)
        external
        onlyOwner
    {
        // forge-lint: disable-next-line(block-timestamp)
        if (until != 0 && until < block.timestamp) revert UntilInPast(until);
        _setOperator(operator, Operator(true, until, datasetsPerDay));
        emit OperatorLimited(operator, until, datasetsPerDay);
    }

    /// @notice Gives a member exactly these roles; none of them ends the membership.
    function setRoles(address member, uint8 roles) external onlyOwner {
        if (member == address(0)) revert ZeroAddress();
        if (roles > ROLES_ALL) revert UnknownRoles(roles);
        rolesOf[member] = roles;
        emit RolesSet(member, roles);
    }

    /// @notice Issues a licence for a dataset whose token this iDAO holds; see {IDATCore.mint}.
    function issueLicence(IDATCore dat, uint256 classId, address to, uint256 value, uint64 expireAt)
        external
        onlyRole(ROLE_LICENSOR)
        returns (uint256 tokenId)
    {
        return dat.mint(classId, to, value, 0, expireAt);
    }

    /// @notice Pays coin from the treasury.
    function pay(address payable to, uint256 amount) external onlyRole(ROLE_TREASURER) {
        if (to == address(0)) revert ZeroAddress();
        emit Paid(msg.sender, to, amount);
        Address.sendValue(to, amount);
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
    function isOperator(address account) public view override returns (bool) {
        Operator memory operator = _operators[account];
        // forge-lint: disable-next-line(block-timestamp)
        return operator.allowed && (operator.until == 0 || block.timestamp <= operator.until);
    }

    /// @notice What an operator was allowed, in time or not.
    function operatorOf(address account) external view returns (Operator memory) {
        return _operators[account];
    }

    /// @inheritdoc IIDAO
    function canForge(address account) external view override returns (bool) {
        return account == owner || isOperator(account);
    }

    /// @inheritdoc IIDAO
    function forgeRight(address account)
        external
        view
        override
        returns (bool allowed, uint32 datasetsPerDay)
    {
        if (account == owner) return (true, 0);
        return (isOperator(account), _operators[account].datasetsPerDay);
    }

    /// @inheritdoc IIDAO
    function canRegister(address account) external view override returns (bool) {
        return account == owner || isOperator(account) || _hasRole(account, ROLE_REGISTRAR);
    }

    /// @inheritdoc IIDAO
    function version() external pure override returns (uint256) {
        return 1;
    }

    function _setOperator(address account, Operator memory operator) private {
        if (account == address(0)) revert ZeroAddress();
        _operators[account] = operator;
        emit OperatorSet(account, operator.allowed);
    }

    function _hasRole(address account, uint8 role) private view returns (bool) {
        return rolesOf[account] & role != 0;
    }

    function _checkRole(uint8 role) private view {
        if (msg.sender != owner && !_hasRole(msg.sender, role)) {
            revert RoleNeeded(msg.sender, role);
        }
    }

    function _checkOwner() private view {
        if (msg.sender != owner) revert NotOwner(msg.sender);
    }
}
