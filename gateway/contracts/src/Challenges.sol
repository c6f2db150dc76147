// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

import {ChallengeBase} from "./ChallengeBase.sol";
import {DatasetForge} from "./DatasetForge.sol";
import {EntryChallenges} from "./EntryChallenges.sol";
import {GatewayChallenges} from "./GatewayChallenges.sol";
import {IVerifier} from "./IVerifier.sol";
import {WithheldChallenges} from "./WithheldChallenges.sol";

/// @title Challenges
/// @notice Judges faults of committed datasets. Every fault follows from stored facts, the record and
/// at most two entries; there is no arbiter. A call that fails, comes back empty or runs out of gas
/// upholds nothing: guilt is only ever the last line of a function whose every check went through.
///
/// Also LazAI's documented {IVerifier}, with the key of a dataset, `abi.encode(bytes32)`, as task.
contract Challenges is EntryChallenges, GatewayChallenges, WithheldChallenges, IVerifier {
    /// @notice No attestation is verified by this version, so none is taken.
    error TeeProofsNotVerified();
    /// @notice No zero-knowledge proof is verified by this version, so none is taken.
    error ZkProofsNotVerified();
    /// @notice Whoever challenges sends the transaction himself.
    error ChallengerDiffers(address challenger, address sender);
    /// @notice The evidence is a call to this contract that upholds a fault of the task's dataset.
    error NothingUpheld(bytes32 key);
    /// @notice A task is 32 bytes, the key of a dataset.
    error MalformedTask(bytes taskId);
    /// @notice The forge takes faults from another contract.
    error WrongForge(address forge);

    constructor(DatasetForge forge_, uint256 deposit_)
        ChallengeBase(forge_)
        WithheldChallenges(deposit_)
    {
        if (forge_.challenges() != address(this)) {
            revert WrongForge(address(forge_));
        }
    }

    /// @inheritdoc IVerifier
    /// @dev Always reverts: see {TeeProofsNotVerified}.
    function submitTEEProof(bytes calldata, bytes calldata, bytes calldata, bytes calldata)
        external
        pure
        override
    {
        revert TeeProofsNotVerified();
    }

    /// @inheritdoc IVerifier
    /// @dev Always reverts: see {ZkProofsNotVerified}.
    function submitZKProof(bytes calldata, bytes calldata, bytes calldata) external pure override {
        revert ZkProofsNotVerified();
    }

    /// @inheritdoc IVerifier
    /// @dev `evidence` is the data of a call to one of this contract's own `challenge…` functions.
    /// It runs as that call would, with the same sender, and must leave the task's dataset void.
    function submitFraudProof(bytes calldata taskId, bytes calldata evidence, address challenger)
        external
        override
    {
        if (challenger != msg.sender) revert ChallengerDiffers(challenger, msg.sender);
        bytes32 key = _keyOf(taskId);
        (uint8 before,,,) = forge.statusOf(key);
        Address.functionDelegateCall(address(this), evidence);
        (uint8 status,,,) = forge.statusOf(key);
        if (before == status || status != forge.STATUS_VOID()) revert NothingUpheld(key);
    }

    /// @inheritdoc IVerifier
    /// @dev Whether the dataset went through its window and has its token.
    function verifyResult(bytes calldata taskId) external view override returns (bool valid) {
        (uint8 status,,,) = forge.statusOf(_keyOf(taskId));
        return status == forge.STATUS_FINALISED();
    }

    function _keyOf(bytes calldata taskId) private pure returns (bytes32) {
        if (taskId.length != 32) revert MalformedTask(taskId);
        // It is 32 bytes long.
        // forge-lint: disable-next-line(unsafe-typecast)
        return bytes32(taskId);
    }
}
