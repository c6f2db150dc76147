// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bonded} from "./Bonded.sol";
import {Trees} from "./Trees.sol";
import {ChallengeBase} from "../src/ChallengeBase.sol";
import {DatasetForge} from "../src/DatasetForge.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {GatewayChallenges} from "../src/GatewayChallenges.sol";
import {GatewayReader} from "../src/GatewayReader.sol";
import {SignatureJudge} from "../src/SignatureJudge.sol";

contract GatewayChallengesTest is Bonded {
    bytes16 private constant CHECKPOINT_TAG = "waystone/ckpt/1";
    bytes16 private constant RECEIPT_TAG = "waystone/rcpt/1";
    bytes16 private constant OTHER_LOG = bytes16(uint128(0x9999));

    // ------------------------------------------------------------------------------- checkpoints

    function checkpoint(
        Signer memory who,
        bytes32 named,
        bytes16 logId,
        uint64 size,
        bytes32 root,
        uint64 time
    ) private pure returns (GatewayChallenges.Checkpoint memory) {
        bytes memory data = abi.encodePacked(CHECKPOINT_TAG, named, logId, size, root, time);
        return GatewayChallenges.Checkpoint(data, signature(who, data));
    }

    function ours(uint64 size, bytes32 root)
        private
        view
        returns (GatewayChallenges.Checkpoint memory)
    {
        return checkpoint(gatewaySigner, gateway, LOG, size, root, RECEIVED);
    }

    function test_two_roots_of_one_size_are_a_fault() public {
        Dataset memory dataset = commit(0, honest());
        GatewayChallenges.Checkpoint memory a = ours(5, keccak256("a"));
        GatewayChallenges.Checkpoint memory b = ours(5, keccak256("b"));
        VM.startPrank(CHALLENGER);
        challenges.challengeFork(dataset.record, a, b, gatewaySigner.key);
        VM.expectRevert(
            abi.encodeWithSelector(
                DatasetForge.AlreadyUpheld.selector, keyOf(dataset.record), uint8(7)
            )
        );
        challenges.challengeFork(dataset.record, b, a, gatewaySigner.key);
        VM.stopPrank();
        upheld(dataset, 7);
    }

    function test_one_history_is_none() public {
        Dataset memory dataset = commit(0, honest());
        GatewayChallenges.Checkpoint memory a = ours(5, keccak256("a"));
        // The same head, signed at another time: after a crash, say.
        GatewayChallenges.Checkpoint memory again =
            checkpoint(gatewaySigner, gateway, LOG, 5, keccak256("a"), RECEIVED + 1);
        refusesFork(dataset, a, again, notAFault(7));
        refusesFork(dataset, a, a, notAFault(7));
        // Another size has another root; by itself that says nothing.
        refusesFork(dataset, a, ours(6, keccak256("b")), notAFault(7));
        untouched(dataset);
    }

    function refusesFork(
        Dataset memory dataset,
        GatewayChallenges.Checkpoint memory a,
        GatewayChallenges.Checkpoint memory b,
        bytes memory reason
    ) private {
        VM.expectRevert(reason);
        challenges.challengeFork(dataset.record, a, b, gatewaySigner.key);
        if (keccak256(a.data) == keccak256(b.data)) return;
        VM.expectRevert(reason);
        challenges.challengeFork(dataset.record, b, a, gatewaySigner.key);
    }

    /// @dev A restore from a backup begins a new log; a second gateway has a log of its own; and
    /// anyone can write a checkpoint, but not sign it.
    function test_other_logs_gateways_and_forgeries_are_none() public {
        Dataset memory dataset = commit(0, honest());
        GatewayChallenges.Checkpoint memory a = ours(5, keccak256("a"));
        bytes memory other = abi.encodeWithSelector(GatewayChallenges.OtherGateway.selector);
        refusesFork(
            dataset,
            a,
            checkpoint(gatewaySigner, gateway, OTHER_LOG, 5, keccak256("b"), RECEIVED),
            other
        );
        Signer memory second = signer(1, 4242);
        VM.prank(OPERATOR);
        registry.register(address(idao), DeviceRegistry.Key(1, 2, second.key.publicKey));
        refusesFork(
            dataset, a, checkpoint(second, second.id, LOG, 5, keccak256("b"), RECEIVED), other
        );
        bytes memory forged = abi.encodeWithSelector(GatewayChallenges.NotTheGateway.selector);
        refusesFork(
            dataset, a, checkpoint(second, gateway, LOG, 5, keccak256("b"), RECEIVED), forged
        );
        GatewayChallenges.Checkpoint memory high = ours(5, keccak256("b"));
        high.signature = highS(gatewaySigner, high.signature);
        refusesFork(dataset, a, high, forged);
        // Another's key for the gateway's signature.
        GatewayChallenges.Checkpoint memory b =
            checkpoint(second, gateway, LOG, 5, keccak256("b"), RECEIVED);
        VM.expectRevert(abi.encodeWithSelector(ChallengeBase.WrongKey.selector, second.id, gateway));
        challenges.challengeFork(dataset.record, a, b, second.key);
        untouched(dataset);
    }

    /// @dev The gateway's signature of something else is no checkpoint.
    function test_other_things_that_it_signed_are_no_checkpoints() public {
        Dataset memory dataset = commit(0, honest());
        GatewayChallenges.Checkpoint memory a = ours(5, keccak256("a"));
        bytes memory head = abi.encodePacked(RECEIPT_TAG, gateway, LOG, uint64(5), keccak256("b"));
        GatewayChallenges.Checkpoint memory receipt =
            GatewayChallenges.Checkpoint(head, signature(gatewaySigner, head));
        refusesFork(
            dataset,
            a,
            receipt,
            abi.encodeWithSelector(GatewayReader.WrongLength.selector, uint256(104), uint256(112))
        );
        bytes memory longer = abi.encodePacked(head, uint64(0));
        receipt = GatewayChallenges.Checkpoint(longer, signature(gatewaySigner, longer));
        refusesFork(
            dataset,
            a,
            receipt,
            abi.encodeWithSelector(GatewayReader.WrongTag.selector, RECEIPT_TAG)
        );
        refusesFork(
            dataset,
            ours(0, keccak256("a")),
            ours(0, keccak256("b")),
            abi.encodeWithSelector(GatewayReader.EmptyTree.selector)
        );
        untouched(dataset);
    }

    function leaves(uint256 size, uint256 changed) private pure returns (bytes32[] memory made) {
        made = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            made[i] = keccak256(abi.encode(i, i == changed));
        }
    }

    function divergence(bytes32[] memory a, bytes32[] memory b, uint64 index)
        private
        pure
        returns (GatewayChallenges.Divergence memory)
    {
        return GatewayChallenges.Divergence(
            index, a[index], Trees.pathOf(a, index), b[index], Trees.pathOf(b, index)
        );
    }

    function test_two_leaves_at_one_place_are_a_fault() public {
        Dataset memory dataset = commit(0, honest());
        bytes32[] memory a = leaves(5, 99);
        bytes32[] memory b = leaves(9, 3);
        VM.startPrank(CHALLENGER);
        challenges.challengeForkAt(
            dataset.record,
            ours(5, Trees.rootOf(a)),
            ours(9, Trees.rootOf(b)),
            gatewaySigner.key,
            divergence(a, b, 3)
        );
        VM.stopPrank();
        upheld(dataset, 7);
    }

    /// @dev A log that only grew has the same leaves at all places of both sizes, and no other place
    /// or inner node passes for one.
    function test_a_log_that_only_grew_is_none() public {
        Dataset memory dataset = commit(0, honest());
        bytes32[] memory a = leaves(3, 99);
        bytes32[] memory b = leaves(7, 99);
        GatewayChallenges.Checkpoint memory small = ours(3, Trees.rootOf(a));
        GatewayChallenges.Checkpoint memory large = ours(7, Trees.rootOf(b));
        GatewayChallenges.Divergence memory at_;
        for (uint64 i = 0; i < 3; ++i) {
            at_ = divergence(a, b, i);
            VM.expectRevert(notAFault(7));
            challenges.challengeForkAt(dataset.record, small, large, gatewaySigner.key, at_);
        }
        at_ = divergence(a, b, 2);
        // Leaf 2 of 3 has the path of leaf 1 of 2.
        at_.index = 1;
        refusesPlace(dataset, small, large, at_, 1, 3);
        at_ = divergence(a, b, 0);
        at_.index = 6;
        refusesPlace(dataset, small, large, at_, 6, 3);
        // Another leaf of the large log.
        at_ = divergence(a, b, 0);
        (at_.leafB, at_.pathB) = (b[1], Trees.pathOf(b, 1));
        refusesPlace(dataset, small, large, at_, 0, 7);
        // The node above two leaves of the small one.
        at_ = divergence(a, b, 0);
        at_.leafA = Trees.nodeOf(a[0], a[1]);
        at_.pathA = new bytes32[](1);
        at_.pathA[0] = a[2];
        refusesPlace(dataset, small, large, at_, 0, 3);
        untouched(dataset);
    }

    function refusesPlace(
        Dataset memory dataset,
        GatewayChallenges.Checkpoint memory a,
        GatewayChallenges.Checkpoint memory b,
        GatewayChallenges.Divergence memory at_,
        uint64 index,
        uint64 size
    ) private {
        VM.expectRevert(abi.encodeWithSelector(GatewayChallenges.NotInTree.selector, index, size));
        challenges.challengeForkAt(dataset.record, a, b, gatewaySigner.key, at_);
    }

    // ---------------------------------------------------------------------------------- receipts

    function body(bytes1 kind, bytes memory statement_, bytes32 leaf)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            kind, new bytes(7), bytes32(uint256(0xde71ce)), sha256(statement_), leaf, new bytes(80)
        );
    }

    function receiptOf(Signer memory who, bytes32 named, bytes16 logId, bytes memory body_)
        private
        pure
        returns (GatewayChallenges.Receipt memory receipt)
    {
        bytes32[] memory tree = new bytes32[](3);
        (tree[0], tree[1], tree[2]) = (keccak256("0"), Trees.leafOf(body_), keccak256("2"));
        receipt.head = abi.encodePacked(RECEIPT_TAG, named, logId, uint64(3), Trees.rootOf(tree));
        receipt.signature = signature(who, receipt.head);
        receipt.body = body_;
        receipt.index = 1;
        receipt.path = Trees.pathOf(tree, 1);
    }

    /// @dev The receipt names an entry of another receive time than the one that was committed.
    function contradiction() private view returns (bytes memory) {
        bytes memory text = statement(fields(secp, 0));
        bytes memory other = entryOf(text, signature(secp, text), RECEIVED - 1);
        return body(0x01, text, Trees.leafOf(other));
    }

    function test_a_receipt_for_another_entry_is_a_fault() public {
        Dataset memory dataset = commit(0, honest());
        ChallengeBase.Proof memory proof = proofOf(dataset, 0);
        VM.startPrank(CHALLENGER);
        challenges.challengeReceipt(
            dataset.record,
            proof,
            receiptOf(gatewaySigner, gateway, LOG, contradiction()),
            gatewaySigner.key
        );
        VM.stopPrank();
        upheld(dataset, 8);
    }

    function test_receipts_that_fit_are_none() public {
        Dataset memory dataset = commit(0, honest());
        bytes memory text = statement(fields(secp, 0));
        bytes memory good = body(0x01, text, Trees.leafOf(dataset.entries[0]));
        refusesReceipt(dataset, 0, receiptOf(gatewaySigner, gateway, LOG, good), notAFault(8));
        // A receipt for another statement.
        refusesReceipt(dataset, 1, receiptOf(gatewaySigner, gateway, LOG, good), notAFault(8));
        untouched(dataset);
    }

    function refusesReceipt(
        Dataset memory dataset,
        uint64 index,
        GatewayChallenges.Receipt memory receipt,
        bytes memory reason
    ) private {
        ChallengeBase.Proof memory proof = proofOf(dataset, index);
        VM.expectRevert(reason);
        challenges.challengeReceipt(dataset.record, proof, receipt, gatewaySigner.key);
    }

    /// @dev The box was restored from a backup and the device sent again; or another gateway of the
    /// iDAO stored the same statement a second before.
    function test_receipts_of_another_log_or_gateway_are_none() public {
        Dataset memory dataset = commit(0, honest());
        bytes memory other = abi.encodeWithSelector(GatewayChallenges.OtherGateway.selector);
        refusesReceipt(
            dataset, 0, receiptOf(gatewaySigner, gateway, OTHER_LOG, contradiction()), other
        );
        Signer memory second = signer(1, 4242);
        VM.prank(OPERATOR);
        registry.register(address(idao), DeviceRegistry.Key(1, 2, second.key.publicKey));
        refusesReceipt(dataset, 0, receiptOf(second, second.id, LOG, contradiction()), other);
        refusesReceipt(
            dataset,
            0,
            receiptOf(second, gateway, LOG, contradiction()),
            abi.encodeWithSelector(GatewayChallenges.NotTheGateway.selector)
        );
        untouched(dataset);
    }

    /// @dev What a receipt of another kind, or of a later version, has in the field of the leaf.
    function test_other_receipts_are_none() public {
        Dataset memory dataset = commit(0, honest());
        bytes memory notStored = abi.encodeWithSelector(GatewayReader.NotStored.selector);
        uint256[8] memory places = [uint256(0), 1, 2, 7, 104, 136, 168, 183];
        for (uint256 i = 0; i < places.length; ++i) {
            bytes memory odd = contradiction();
            odd[places[i]] = 0x02;
            refusesReceipt(dataset, 0, receiptOf(gatewaySigner, gateway, LOG, odd), notStored);
        }
        GatewayChallenges.Receipt memory receipt =
            receiptOf(gatewaySigner, gateway, LOG, contradiction());
        // The gateway signed the head, and this body is not under it.
        receipt.body = body(0x01, statement(fields(secp, 0)), keccak256("any"));
        refusesReceipt(
            dataset,
            0,
            receipt,
            abi.encodeWithSelector(GatewayChallenges.NotInTree.selector, uint64(1), uint64(3))
        );
        untouched(dataset);
    }

    function test_readers_agree_with_the_published_vectors() public {
        string memory vectors = VM.readFile("../../proto/vectors/v1.json");
        Readers readers = new Readers();
        GatewayReader.Head memory head =
            readers.checkpoint(VM.parseJsonBytes(vectors, ".checkpoint.bytes"));
        eq(head.gateway, VM.parseJsonBytes32(vectors, ".checkpoint.fields.gateway"), "gateway");
        eq(head.size, VM.parseJsonUint(vectors, ".checkpoint.fields.size"), "size");
        eq(head.root, VM.parseJsonBytes32(vectors, ".checkpoint.fields.root"), "root");
        eq(
            abi.encodePacked(head.logId),
            VM.parseJsonBytes(vectors, ".checkpoint.fields.logId"),
            "logId"
        );
        head = readers.receiptHead(VM.parseJsonBytes(vectors, ".receipts.headBytes"));
        eq(head.gateway, VM.parseJsonBytes32(vectors, ".receipts.head.gateway"), "gateway");
        eq(head.size, VM.parseJsonUint(vectors, ".receipts.head.size"), "size");
        eq(head.root, VM.parseJsonBytes32(vectors, ".receipts.head.root"), "root");
        (bytes32 statement_, bytes32 leaf) =
            readers.stored(VM.parseJsonBytes(vectors, ".receipts.list[0].bodyBytes"));
        eq(
            statement_,
            VM.parseJsonBytes32(vectors, ".receipts.list[0].body.statement"),
            "statement"
        );
        eq(
            leaf,
            VM.parseJsonBytes32(vectors, ".receipts.list[0].body.outcome.entryLeaf"),
            "entry leaf"
        );
        for (uint256 i = 1; i < 5; ++i) {
            bytes memory other = VM.parseJsonBytes(
                vectors, string.concat(".receipts.list[", VM.toString(i), "].bodyBytes")
            );
            VM.expectRevert(GatewayReader.NotStored.selector);
            readers.stored(other);
        }
    }

    /// @dev The gateway's signatures of the vectors, by the contract's rule.
    function test_the_published_signatures_are_valid() public view {
        string memory vectors = VM.readFile("../../proto/vectors/v1.json");
        SignatureJudge judge = challenges.judge();
        SignatureJudge.Key memory key = SignatureJudge.Key(
            1,
            VM.parseJsonBytes(vectors, ".keys.gateway.publicKey"),
            VM.parseJsonBytes32(vectors, ".keys.gateway.y")
        );
        string[2] memory names = [".checkpoint.bytes", ".receipts.headBytes"];
        string[2] memory signatures = [".checkpoint.signature", ".receipts.signature"];
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 digest = sha256(VM.parseJsonBytes(vectors, names[i]));
            ok(judge.isValid(key, digest, VM.parseJsonBytes(vectors, signatures[i])), names[i]);
        }
    }

    /// @dev The devices' signatures of the vectors are valid, and their twins of high S are not.
    function test_the_published_entries_are_signed() public view {
        string memory vectors = VM.readFile("../../proto/vectors/v1.json");
        for (uint256 i = 0; i < 5; ++i) {
            string memory path = string.concat(".dataset.entries[", VM.toString(i), "]");
            checkEntry(vectors, path);
        }
    }

    function checkEntry(string memory vectors, string memory path) private view {
        string memory name =
            string.concat(".keys.", VM.parseJsonString(vectors, string.concat(path, ".key")));
        uint256 keyType = VM.parseJsonUint(vectors, string.concat(name, ".typeNumber"));
        require(keyType < 3);
        SignatureJudge.Key memory key = SignatureJudge.Key(
            // forge-lint: disable-next-line(unsafe-typecast)
            uint8(keyType),
            VM.parseJsonBytes(vectors, string.concat(name, ".publicKey")),
            VM.parseJsonBytes32(vectors, string.concat(name, ".y"))
        );
        bytes32 digest = VM.parseJsonBytes32(vectors, string.concat(path, ".statementHash"));
        bytes memory low = VM.parseJsonBytes(vectors, string.concat(path, ".signature"));
        bytes memory high = VM.parseJsonBytes(vectors, string.concat(path, ".highSignature"));
        ok(challenges.judge().isValid(key, digest, low), path);
        ok(!challenges.judge().isValid(key, digest, high), path);
        ok(!challenges.judge().isValid(key, ~digest, low), path);
    }
}

/// @dev Gives the library's internal functions an outside.
contract Readers {
    function checkpoint(bytes calldata data) external pure returns (GatewayReader.Head memory) {
        return GatewayReader.readCheckpoint(data);
    }

    function receiptHead(bytes calldata data) external pure returns (GatewayReader.Head memory) {
        return GatewayReader.readReceiptHead(data);
    }

    function stored(bytes calldata data) external pure returns (bytes32, bytes32) {
        return GatewayReader.readStored(data);
    }
}
