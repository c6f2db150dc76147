// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DatasetForge} from "./DatasetForge.sol";
import {DeviceRegistry} from "./DeviceRegistry.sol";
import {SignatureJudge} from "./SignatureJudge.sol";
import {StatementReader} from "./StatementReader.sol";

/// @title ChallengeBase
/// @notice What all challenges share: the dataset must be the one that was committed and its window
/// open; an entry must be in its tree, whose root and size come from the record; a key must have the
/// id that it is said to have.
abstract contract ChallengeBase {
    // Numbers of the faults, as events and {DatasetForge.isUpheld} have them.

    /// @notice A signature that is not the device's.
    uint8 public constant FAULT_SIGNATURE = 1;
    /// @notice A statement meant for another chain or iDAO.
    uint8 public constant FAULT_REALM = 2;
    /// @notice A device that was not registered to the iDAO.
    uint8 public constant FAULT_UNREGISTERED = 3;
    /// @notice A device that was revoked long before.
    uint8 public constant FAULT_REVOKED = 4;
    /// @notice One range twice in one log.
    uint8 public constant FAULT_OVERLAP = 5;
    /// @notice Times outside those that were committed.
    uint8 public constant FAULT_TIME = 6;
    /// @notice A log with two histories.
    uint8 public constant FAULT_FORK = 7;
    /// @notice A receipt that the dataset contradicts.
    uint8 public constant FAULT_RECEIPT = 8;
    /// @notice An entry that nobody shows.
    uint8 public constant FAULT_WITHHELD = 9;

    /// @notice Where datasets are committed, and what follows from a fault.
    DatasetForge public immutable forge;
    /// @notice Which key belongs to which iDAO, and since when.
    DeviceRegistry public immutable registry;
    /// @notice Judges signatures; anyone may ask it for its verdict beforehand.
    SignatureJudge public immutable judge;

    /// @notice An entry of a dataset.
    /// @param entry its 280 bytes
    /// @param index its place in the dataset
    /// @param path its RFC 9162 inclusion proof, leaf to root
    struct Proof {
        bytes entry;
        uint64 index;
        bytes32[] path;
    }

    /// @notice What is shown is no fault of the dataset.
    error NotAFault(uint8 fault);
    /// @notice No such dataset was committed.
    error NotCommitted(bytes32 key);
    /// @notice The record given is not the one that was committed.
    error RecordDiffers(bytes32 key, bytes32 committed, bytes32 given);
    /// @notice The window ended at `until` (Unix seconds), or the dataset is finalised.
    error WindowOver(bytes32 key, uint256 until);
    /// @notice A fault of the dataset was upheld; this challenge needs one that still stands.
    error DatasetVoid(bytes32 key);
    /// @notice The path does not lead from the entry to the record's root.
    error NotIncluded(uint64 index, uint64 count);
    /// @notice The key is not the one that the statement, receipt or checkpoint names.
    error WrongKey(bytes32 id, bytes32 expected);

    constructor(DatasetForge forge_) {
        forge = forge_;
        registry = DeviceRegistry(address(forge_.registry()));
        judge = registry.judge();
    }

    /// @dev Reverts unless exactly this record was committed.
    function _committed(DatasetForge.Record calldata record)
        internal
        view
        returns (bytes32 key, uint8 status, uint64 committedAt)
    {
        key = keccak256(abi.encode(record.idao, record.logId, record.index));
        bytes32 known;
        (status, committedAt,, known) = forge.statusOf(key);
        if (known == 0) revert NotCommitted(key);
        bytes32 given = keccak256(abi.encode(record));
        if (known != given) revert RecordDiffers(key, known, given);
    }

    /// @dev Reverts unless this record was committed and its window is open.
    function _challengeable(DatasetForge.Record calldata record)
        internal
        view
        returns (bytes32 key, uint8 status, uint64 committedAt)
    {
        (key, status, committedAt) = _committed(record);
        uint256 until = forge.openUntil(key);
        // forge-lint: disable-next-line(block-timestamp)
        if (status == forge.STATUS_FINALISED() || block.timestamp >= until) {
            revert WindowOver(key, until);
        }
    }

    /// @dev Reads an entry that is in the record's dataset. Root and count are the record's.
    function _entryOf(DatasetForge.Record calldata record, Proof calldata proof)
        internal
        pure
        returns (StatementReader.Entry memory)
    {
        bool included = StatementReader.isIncluded(
            StatementReader.leafHash(proof.entry),
            proof.index,
            record.count,
            proof.path,
            record.root
        );
        if (!included) revert NotIncluded(proof.index, record.count);
        return StatementReader.readEntry(proof.entry);
    }

    /// @dev Whether the key `id` made `signature` over the SHA-256 of `message`.
    function _isSigned(
        bytes32 id,
        SignatureJudge.Key calldata key,
        bytes calldata message,
        bytes calldata signature
    ) internal view returns (bool) {
        bytes32 found = registry.idOf(key.keyType, key.publicKey);
        if (found != id) revert WrongKey(found, id);
        return judge.isValid(key, sha256(message), signature);
    }

    function _uphold(bytes32 key, DatasetForge.Record calldata record, uint8 fault) internal {
        forge.uphold(key, record.idao, fault, msg.sender);
    }
}
