// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChallengeBase} from "./ChallengeBase.sol";
import {DatasetForge} from "./DatasetForge.sol";
import {DeviceRegistry} from "./DeviceRegistry.sol";
import {LocalChains} from "./LocalChains.sol";
import {SignatureJudge} from "./SignatureJudge.sol";
import {StatementReader} from "./StatementReader.sol";

/// @title EntryChallenges
/// @notice Faults that one or two committed entries show: each is something that the gateway could
/// check before it committed. What a device signed is the device's word and no fault of the gateway.
abstract contract EntryChallenges is ChallengeBase {
    /// @notice How long after its revocation data of a device may still be received: it covers
    /// clocks that differ and transactions that wait.
    uint64 public constant REVOCATION_GRACE_SECONDS = 1 days;

    /// @dev Ingest flag: the gateway did not trust its clock, so the receive time is a guess.
    uint32 private constant CLOCK_UNTRUSTED = 1;
    uint8 private constant TIME_BASE_UTC = 1;

    /// @notice Realms are of the chain that the contract was deployed on.
    uint256 public immutable chainId = block.chainid;

    /// @notice Two different statements of one device cover one range. Both signatures are valid, so
    /// it is the device's doing; nobody's bond answers for it.
    event DeviceFault(bytes32 indexed device, bytes32 statementA, bytes32 statementB);

    /// @notice The chain has another id than at deployment: after a split, honest statements carry
    /// one that this contract does not know.
    error ChainSplit(uint256 chainId, uint256 deployedOn);
    /// @notice Both entries must be of one log of one iDAO.
    error OtherLog();
    /// @notice Both proofs show the same entry.
    error SameEntry();
    /// @notice A signature of the statements that are to convict a device is not its own.
    error NotTheDevice();

    /// @notice The entry's signature is not the device's. Ed25519 cannot be judged.
    /// @param device the key that the statement names by its id
    function challengeSignature(
        DatasetForge.Record calldata record,
        Proof calldata proof,
        SignatureJudge.Key calldata device
    ) external {
        (bytes32 key,,) = _challengeable(record);
        bytes32 id = _entryOf(record, proof).statement.device;
        if (_isSigned(id, device, proof.entry[0:200], proof.entry[200:264])) {
            revert NotAFault(FAULT_SIGNATURE);
        }
        _uphold(key, record, FAULT_SIGNATURE);
    }

    /// @notice The entry's statement was meant for another chain or iDAO. The zero realm, that of no
    /// chain, is in order on local chains.
    function challengeRealm(DatasetForge.Record calldata record, Proof calldata proof) external {
        (bytes32 key,,) = _challengeable(record);
        if (block.chainid != chainId) revert ChainSplit(block.chainid, chainId);
        bytes32 realm = _entryOf(record, proof).statement.realm;
        bool own = realm == StatementReader.realmOf(chainId, record.idao);
        if (own || (realm == 0 && LocalChains.isLocal(chainId))) revert NotAFault(FAULT_REALM);
        _uphold(key, record, FAULT_REALM);
    }

    /// @notice The entry's device was not registered to the iDAO when the dataset was committed.
    /// One that was registered in the commit's own second counts as registered.
    function challengeUnregistered(DatasetForge.Record calldata record, Proof calldata proof)
        external
    {
        (bytes32 key,, uint64 committedAt) = _challengeable(record);
        DeviceRegistry.Record memory device = _deviceOf(record, _entryOf(record, proof));
        bool ours = device.idao == record.idao && device.registeredAt != 0;
        if (ours && device.registeredAt <= committedAt) revert NotAFault(FAULT_UNREGISTERED);
        _uphold(key, record, FAULT_UNREGISTERED);
    }

    /// @notice The entry was received, and the dataset committed, after the device was revoked and
    /// {REVOCATION_GRACE_SECONDS} had gone by.
    function challengeRevoked(DatasetForge.Record calldata record, Proof calldata proof) external {
        (bytes32 key,, uint64 committedAt) = _challengeable(record);
        StatementReader.Entry memory entry = _entryOf(record, proof);
        DeviceRegistry.Record memory device = _deviceOf(record, entry);
        uint256 limit = uint256(device.revokedAt) + REVOCATION_GRACE_SECONDS;
        bool guilty = device.idao == record.idao && device.revokedAt != 0
            && entry.receiveTime > limit * 1e6 && committedAt > limit
            && entry.ingestFlags & CLOCK_UNTRUSTED == 0;
        if (!guilty) revert NotAFault(FAULT_REVOKED);
        _uphold(key, record, FAULT_REVOKED);
    }

    /// @notice The entry's times (UTC) are not within those that were committed.
    function challengeTime(DatasetForge.Record calldata record, Proof calldata proof) external {
        (bytes32 key,,) = _challengeable(record);
        StatementReader.Statement memory statement = _entryOf(record, proof).statement;
        bool outside = statement.minTime < record.minTime || statement.maxTime > record.maxTime;
        if (statement.timeBase != TIME_BASE_UTC || !outside) revert NotAFault(FAULT_TIME);
        _uphold(key, record, FAULT_TIME);
    }

    /// @notice Two entries of one log cover one sequence number of a (device, session, stream)
    /// twice. Both may be in one dataset. `other` may be finalised but not void: what was in a void
    /// dataset may be sealed anew.
    function challengeOverlap(
        DatasetForge.Record calldata record,
        Proof calldata proof,
        DatasetForge.Record calldata other,
        Proof calldata otherProof
    ) external {
        (bytes32 key, uint8 status,) = _challengeable(record);
        if (status == forge.STATUS_VOID()) revert DatasetVoid(key);
        (bytes32 otherKey, uint8 otherStatus,) = _committed(other);
        if (otherStatus == forge.STATUS_VOID()) revert DatasetVoid(otherKey);
        if (other.idao != record.idao || other.logId != record.logId) revert OtherLog();
        if (key == otherKey && proof.index == otherProof.index) revert SameEntry();
        StatementReader.Statement memory a = _entryOf(record, proof).statement;
        StatementReader.Statement memory b = _entryOf(other, otherProof).statement;
        if (!_overlap(a, b)) revert NotAFault(FAULT_OVERLAP);
        _uphold(key, record, FAULT_OVERLAP);
    }

    /// @notice Reports a device that signed two different statements for one range: an event, no
    /// slash. No dataset is needed; the signatures are the proof.
    function reportDevice(
        SignatureJudge.Key calldata device,
        bytes calldata statementA,
        bytes calldata signatureA,
        bytes calldata statementB,
        bytes calldata signatureB
    ) external {
        StatementReader.Statement memory a = StatementReader.readStatement(statementA);
        StatementReader.Statement memory b = StatementReader.readStatement(statementB);
        (bytes32 hashA, bytes32 hashB) = (sha256(statementA), sha256(statementB));
        if (hashA == hashB || !_overlap(a, b)) revert NotAFault(0);
        bool both = _isSigned(a.device, device, statementA, signatureA)
            && _isSigned(a.device, device, statementB, signatureB);
        if (!both) revert NotTheDevice();
        emit DeviceFault(a.device, hashA, hashB);
    }

    function _deviceOf(DatasetForge.Record calldata record, StatementReader.Entry memory entry)
        private
        view
        returns (DeviceRegistry.Record memory)
    {
        return registry.recordOf(record.idao, entry.statement.device);
    }

    /// @dev Sums are of 256 bits, so that a first sequence near 2^64 wraps round nothing. An empty
    /// range overlaps none.
    function _overlap(StatementReader.Statement memory a, StatementReader.Statement memory b)
        private
        pure
        returns (bool)
    {
        if (a.device != b.device || a.session != b.session || a.stream != b.stream) return false;
        if (a.count == 0 || b.count == 0) return false;
        return uint256(a.firstSequence) < uint256(b.firstSequence) + b.count
            && uint256(b.firstSequence) < uint256(a.firstSequence) + a.count;
    }
}
