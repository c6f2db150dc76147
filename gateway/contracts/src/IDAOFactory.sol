// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {IDAO} from "./IDAO.sol";

/// @title IDAOFactory
/// @notice Creates iDAOs at addresses that are known beforehand, so that a gateway knows its realm
/// before it has ever reached the chain.
/// @dev The address follows from (factory, owner, salt) alone:
/// `CREATE2(factory, keccak256(abi.encode(owner, salt)), keccak256(ERC-1167 code of implementation))`
/// where `implementation` is the factory's first creation, `CREATE(factory, nonce 1)`.
contract IDAOFactory {
    /// @notice The code that every iDAO of this factory delegates to.
    address public immutable implementation;

    event IDAOCreated(address indexed idao, address indexed owner, string name);

    /// @notice Only the future owner may create: anyone else could choose the iDAO's name for him.
    error OwnerMustCreate(address owner, address caller);

    constructor() {
        implementation = address(new IDAO());
    }

    /// @notice Creates the iDAO of (`params.ownerAddress`, `salt`). Reverts when it exists.
    function create(bytes32 salt, IDAO.InitParams calldata params) external returns (address idao) {
        if (msg.sender != params.ownerAddress) {
            revert OwnerMustCreate(params.ownerAddress, msg.sender);
        }
        idao = Clones.cloneDeterministic(implementation, _boundSalt(msg.sender, salt));
        emit IDAOCreated(idao, msg.sender, params.name);
        IDAO(payable(idao)).initialize(params);
    }

    /// @notice Where the iDAO of (`owner`, `salt`) is or would be.
    function predict(address owner, bytes32 salt) external view returns (address) {
        return Clones.predictDeterministicAddress(implementation, _boundSalt(owner, salt));
    }

    function _boundSalt(address owner, bytes32 salt) private pure returns (bytes32) {
        return keccak256(abi.encode(owner, salt));
    }
}
