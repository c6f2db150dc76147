// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChallengeBase} from "./ChallengeBase.sol";
import {DatasetForge} from "./DatasetForge.sol";
import {GatewayReader} from "./GatewayReader.sol";
import {SignatureJudge} from "./SignatureJudge.sol";
import {StatementReader} from "./StatementReader.sol";

/// @title GatewayChallenges
/// @notice Faults that the gateway's own signatures show: a log with two histories, a receipt that
/// the dataset contradicts. Both need a signature of the key that the record names, in the log that
/// it names; so neither another gateway of the iDAO nor the log before a restore can be confused
/// with this one.
abstract contract GatewayChallenges is ChallengeBase {
    /// @notice A checkpoint, 112 bytes, and the gateway's signature.
    struct Checkpoint {
        bytes data;
        bytes signature;
    }

    /// @notice What the two logs say at one place.
    /// @param index the place, below both sizes
    struct Divergence {
        uint64 index;
        bytes32 leafA;
        bytes32[] pathA;
        bytes32 leafB;
        bytes32[] pathB;
    }

    /// @notice A receipt: head of its tree, 104 bytes, signature of the head, body, 184 bytes, and
    /// the body's place under the head.
    struct Receipt {
        bytes head;
        bytes signature;
        bytes body;
        uint64 index;
        bytes32[] path;
    }

    /// @notice The checkpoint or receipt is of another gateway or log than the dataset.
    error OtherGateway();
    /// @notice The gateway did not sign this; anyone could have written it.
    error NotTheGateway();
    /// @notice A path does not lead to the root that the gateway signed.
    error NotInTree(uint64 index, uint64 size);

    /// @notice The dataset's gateway signed two checkpoints of its log with one size and two roots.
    /// Stands against every dataset of that log whose window is open: which history it belongs to is
    /// the gateway's word alone.
    function challengeFork(
        DatasetForge.Record calldata record,
        Checkpoint calldata a,
        Checkpoint calldata b,
        SignatureJudge.Key calldata gateway
    ) external {
        (bytes32 key,,) = _challengeable(record);
        GatewayReader.Head memory headA = _checkpointOf(record, a, gateway);
        GatewayReader.Head memory headB = _checkpointOf(record, b, gateway);
        if (headA.size != headB.size || headA.root == headB.root) revert NotAFault(FAULT_FORK);
        _uphold(key, record, FAULT_FORK);
    }

    /// @notice The same for checkpoints of two sizes: at one place the two logs have two leaves. A
    /// log only grows, so an honest one has the same leaf there for ever. Without such a place two
    /// checkpoints of different sizes prove nothing.
    function challengeForkAt(
        DatasetForge.Record calldata record,
        Checkpoint calldata a,
        Checkpoint calldata b,
        SignatureJudge.Key calldata gateway,
        Divergence calldata divergence
    ) external {
        (bytes32 key,,) = _challengeable(record);
        _checkInTree(
            divergence.index, divergence.leafA, divergence.pathA, _checkpointOf(record, a, gateway)
        );
        _checkInTree(
            divergence.index, divergence.leafB, divergence.pathB, _checkpointOf(record, b, gateway)
        );
        if (divergence.leafA == divergence.leafB) revert NotAFault(FAULT_FORK);
        _uphold(key, record, FAULT_FORK);
    }

    /// @notice The dataset's gateway signed, in this log, that it stored a statement as one entry,
    /// and committed it as another.
    function challengeReceipt(
        DatasetForge.Record calldata record,
        Proof calldata proof,
        Receipt calldata receipt,
        SignatureJudge.Key calldata gateway
    ) external {
        (bytes32 key,,) = _challengeable(record);
        _entryOf(record, proof);
        GatewayReader.Head memory head = GatewayReader.readReceiptHead(receipt.head);
        _checkSigned(record, head, gateway, receipt.head, receipt.signature);
        bytes32 leaf = StatementReader.leafHash(receipt.body);
        _checkInTree(receipt.index, leaf, receipt.path, head);
        (bytes32 statement, bytes32 stored) = GatewayReader.readStored(receipt.body);
        bool same = stored == StatementReader.leafHash(proof.entry);
        if (statement != sha256(proof.entry[0:200]) || same) revert NotAFault(FAULT_RECEIPT);
        _uphold(key, record, FAULT_RECEIPT);
    }

    function _checkpointOf(
        DatasetForge.Record calldata record,
        Checkpoint calldata checkpoint,
        SignatureJudge.Key calldata gateway
    ) private view returns (GatewayReader.Head memory head) {
        head = GatewayReader.readCheckpoint(checkpoint.data);
        _checkSigned(record, head, gateway, checkpoint.data, checkpoint.signature);
    }

    function _checkSigned(
        DatasetForge.Record calldata record,
        GatewayReader.Head memory head,
        SignatureJudge.Key calldata gateway,
        bytes calldata message,
        bytes calldata signature
    ) private view {
        if (head.gateway != record.gateway || head.logId != record.logId) {
            revert OtherGateway();
        }
        if (!_isSigned(record.gateway, gateway, message, signature)) revert NotTheGateway();
    }

    function _checkInTree(
        uint64 index,
        bytes32 leaf,
        bytes32[] calldata path,
        GatewayReader.Head memory head
    ) private pure {
        if (!StatementReader.isIncluded(leaf, index, head.size, path, head.root)) {
            revert NotInTree(index, head.size);
        }
    }
}
