// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bonded} from "./Bonded.sol";
import {ChallengeBase} from "../src/ChallengeBase.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {SignatureJudge} from "../src/SignatureJudge.sol";

/// @dev Who holds a key, who takes its place, and what is proven about it.
contract PossessionTest is Bonded {
    uint64 private constant EXPIRY = START + 1 days;

    function keyOf(Signer memory who) private pure returns (DeviceRegistry.Key memory) {
        return DeviceRegistry.Key(who.key.keyType, 1, who.key.publicKey);
    }

    function possession(Signer memory who, address of_)
        private
        view
        returns (DeviceRegistry.Possession memory)
    {
        bytes memory message = registry.possessionMessage(of_, who.id, 1, EXPIRY);
        return DeviceRegistry.Possession(EXPIRY, who.key.y, signature(who, message));
    }

    function none() private pure returns (DeviceRegistry.Possession memory) {
        return DeviceRegistry.Possession(0, 0, "");
    }

    function registerProven(Signer memory who, DeviceRegistry.Possession memory proof) private {
        DeviceRegistry.Key[] memory keys = new DeviceRegistry.Key[](1);
        DeviceRegistry.Possession[] memory proofs = new DeviceRegistry.Possession[](1);
        (keys[0], proofs[0]) = (keyOf(who), proof);
        VM.prank(OPERATOR);
        registry.registerProven(address(idao), keys, proofs);
    }

    function refused(bytes memory why, Signer memory who, DeviceRegistry.Possession memory proof)
        private
    {
        DeviceRegistry.Key[] memory keys = new DeviceRegistry.Key[](1);
        DeviceRegistry.Possession[] memory proofs = new DeviceRegistry.Possession[](1);
        (keys[0], proofs[0]) = (keyOf(who), proof);
        VM.expectRevert(why);
        VM.prank(OPERATOR);
        registry.registerProven(address(idao), keys, proofs);
    }

    function recordOf(Signer memory who) private view returns (DeviceRegistry.Record memory) {
        return registry.recordOf(address(idao), who.id);
    }

    // ----------------------------------------------------------------------------- possession

    function test_a_device_shows_that_it_holds_its_key() public {
        Signer[2] memory both = [signer(1, 501), signer(2, 502)];
        for (uint256 i = 0; i < both.length; ++i) {
            registerProven(both[i], none());
            ok(!recordOf(both[i]).proven, "registered, not proven");
            VM.warp(START + 100);
            registerProven(both[i], possession(both[i], address(idao)));
            ok(recordOf(both[i]).proven, "proven");
            eq(recordOf(both[i]).registeredAt, START + 100 * i, "since before");
            // Proven once, nothing more is looked at.
            registerProven(both[i], DeviceRegistry.Possession(1, 0, hex"00"));
        }
    }

    function test_the_message_is_what_the_description_says() public view {
        bytes memory message = registry.possessionMessage(address(idao), secp.id, 2, 77);
        eq(
            keccak256(message),
            keccak256(
                abi.encodePacked(
                    // forge-lint: disable-next-line(unsafe-typecast)
                    bytes16("waystone/enrl/1"),
                    uint64(block.chainid),
                    address(registry),
                    address(idao),
                    secp.id,
                    uint8(2),
                    uint64(77)
                )
            ),
            "layout"
        );
        eq(message.length, 105, "length");
    }

    function test_a_proof_is_good_for_nothing_else() public {
        Signer memory who = signer(1, 503);
        bytes memory no = abi.encodeWithSelector(DeviceRegistry.NotPossessed.selector, who.id);
        refused(no, who, possession(who, address(0xBAD)));
        DeviceRegistry.Possession memory proof = possession(who, address(idao));
        bytes memory own = proof.signature;
        proof.signature = highS(who, own);
        refused(no, who, proof);
        proof.signature = own;
        proof.expiry += 1;
        refused(no, who, proof);
        proof.expiry -= 1;
        // Another chain.
        VM.chainId(block.chainid + 1);
        refused(no, who, proof);
        VM.chainId(block.chainid - 1);
        // Another registry.
        DeviceRegistry other = new DeviceRegistry(address(0));
        bytes memory message = other.possessionMessage(address(idao), who.id, 1, EXPIRY);
        refused(no, who, DeviceRegistry.Possession(EXPIRY, who.key.y, signature(who, message)));
        // Another kind.
        message = registry.possessionMessage(address(idao), who.id, 2, EXPIRY);
        refused(no, who, DeviceRegistry.Possession(EXPIRY, who.key.y, signature(who, message)));
        // Somebody else's signature.
        message = registry.possessionMessage(address(idao), who.id, 1, EXPIRY);
        refused(no, who, DeviceRegistry.Possession(EXPIRY, who.key.y, signature(secp, message)));
        VM.warp(EXPIRY);
        registerProven(who, proof);
        ok(recordOf(who).proven, "in its last second");
    }

    function test_a_proof_ends() public {
        Signer memory who = signer(1, 504);
        DeviceRegistry.Possession memory proof = possession(who, address(idao));
        VM.warp(uint256(EXPIRY) + 1);
        refused(abi.encodeWithSelector(DeviceRegistry.Expired.selector, who.id, EXPIRY), who, proof);
        eq(recordOf(who).registeredAt, 0, "nothing of it stays");
    }

    function test_a_key_off_its_curve_or_of_another_parity_is_refused() public {
        Signer memory who = signer(1, 505);
        DeviceRegistry.Possession memory proof = possession(who, address(idao));
        proof.y = bytes32(uint256(proof.y) ^ 2);
        refused(
            abi.encodeWithSelector(SignatureJudge.NotThePoint.selector, who.key.publicKey, proof.y),
            who,
            proof
        );
        proof.y = bytes32(uint256(proof.y) ^ 3);
        refused(
            abi.encodeWithSelector(SignatureJudge.NotThePoint.selector, who.key.publicKey, proof.y),
            who,
            proof
        );
    }

    function test_an_ed25519_key_is_registered_and_never_proven() public {
        DeviceRegistry.Key[] memory keys = new DeviceRegistry.Key[](1);
        DeviceRegistry.Possession[] memory proofs = new DeviceRegistry.Possession[](1);
        keys[0] = DeviceRegistry.Key(3, 1, abi.encodePacked(keccak256("ed")));
        VM.startPrank(OPERATOR);
        registry.registerProven(address(idao), keys, proofs);
        bytes32 id = registry.idOf(3, keys[0].publicKey);
        ok(!registry.recordOf(address(idao), id).proven, "not proven");
        proofs[0] = DeviceRegistry.Possession(EXPIRY, 0, new bytes(64));
        VM.expectRevert(abi.encodeWithSelector(SignatureJudge.NotJudgeable.selector, uint8(3)));
        registry.registerProven(address(idao), keys, proofs);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.LengthsDiffer.selector, 1, 0));
        registry.registerProven(address(idao), keys, new DeviceRegistry.Possession[](0));
        VM.stopPrank();
    }

    /// @dev What a hundred devices cost with their proofs, and what without.
    function test_gas_hundred_proven_devices() public {
        many(true);
    }

    function test_gas_hundred_devices() public {
        many(false);
    }

    function many(bool proven) private {
        DeviceRegistry.Key[] memory keys = new DeviceRegistry.Key[](100);
        DeviceRegistry.Possession[] memory proofs = new DeviceRegistry.Possession[](100);
        for (uint256 i = 0; i < 100; ++i) {
            Signer memory who = signer(1, 10_000 + i);
            keys[i] = keyOf(who);
            if (proven) proofs[i] = possession(who, address(idao));
        }
        VM.prank(OPERATOR);
        registry.registerProven(address(idao), keys, proofs);
    }

    // ------------------------------------------------------------------------------- rotation

    function link(Signer memory from, Signer memory to, uint64 drainUntil)
        private
        view
        returns (DeviceRegistry.Link memory made)
    {
        bytes memory message =
            registry.rotationMessage(address(idao), from.id, to.id, drainUntil, EXPIRY);
        made = DeviceRegistry.Link({
            drainUntil: drainUntil,
            expiry: EXPIRY,
            oldY: from.key.y,
            oldSignature: signature(from, message),
            newY: to.key.y,
            newSignature: signature(to, message)
        });
    }

    function rotate(Signer memory next, uint64 drainUntil) private {
        DeviceRegistry.Link memory made = link(secp, next, drainUntil);
        VM.prank(OPERATOR);
        registry.rotate(address(idao), keyOf(secp), keyOf(next), made);
    }

    function test_a_key_takes_the_place_of_another() public {
        Signer memory next = signer(2, 601);
        rotate(next, START + 5 days);
        DeviceRegistry.Record memory old = recordOf(secp);
        eq(old.revokedAt, START + 5 days, "drains");
        eq(old.retirement, 2, "rotated");
        ok(recordOf(next).proven, "the new key is proven");
        eq(recordOf(next).registeredAt, START, "from now on");
        // An old key does not come back, and rotates once.
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.Revoked.selector, secp.id));
        VM.prank(OPERATOR);
        registry.register(address(idao), keyOf(secp));
    }

    function test_both_keys_must_say_so() public {
        Signer memory next = signer(1, 602);
        DeviceRegistry.Link memory good = link(secp, next, START + 1 days);
        bytes memory mine = good.oldSignature;
        good.oldSignature = good.newSignature;
        expectRotation(
            abi.encodeWithSelector(DeviceRegistry.NotPossessed.selector, secp.id), next, good
        );
        good.oldSignature = mine;
        good.newSignature = mine;
        expectRotation(
            abi.encodeWithSelector(DeviceRegistry.NotPossessed.selector, next.id), next, good
        );
        good = link(secp, next, START + 1 days);
        good.drainUntil += 1;
        expectRotation(
            abi.encodeWithSelector(DeviceRegistry.NotPossessed.selector, secp.id), next, good
        );
        good = link(secp, next, START - 1);
        expectRotation(
            abi.encodeWithSelector(DeviceRegistry.DrainOutOfRange.selector, START - 1), next, good
        );
        good = link(secp, next, START + 366 days);
        expectRotation(
            abi.encodeWithSelector(DeviceRegistry.DrainOutOfRange.selector, START + 366 days),
            next,
            good
        );
        good = link(secp, next, START + 3 days);
        VM.warp(uint256(EXPIRY) + 1);
        expectRotation(
            abi.encodeWithSelector(DeviceRegistry.Expired.selector, secp.id, EXPIRY), next, good
        );
        eq(recordOf(next).registeredAt, 0, "nothing happened");
        eq(recordOf(secp).revokedAt, 0, "nothing happened");
        VM.expectRevert(
            abi.encodeWithSelector(DeviceRegistry.NotAuthorised.selector, address(idao), STRANGER)
        );
        VM.prank(STRANGER);
        registry.rotate(address(idao), keyOf(secp), keyOf(next), good);
    }

    function expectRotation(bytes memory why, Signer memory next, DeviceRegistry.Link memory made)
        private
    {
        DeviceRegistry.Key memory from = keyOf(secp);
        DeviceRegistry.Key memory to = keyOf(next);
        VM.expectRevert(why);
        VM.prank(OPERATOR);
        registry.rotate(address(idao), from, to, made);
    }

    /// @dev Data that waited on the device is in order until the drain is over, and a day more.
    function test_drained_data_is_no_fault() public {
        Signer memory next = signer(1, 603);
        rotate(next, START + 5 days);
        for (uint64 d = 0; d < 6; ++d) {
            (Dataset memory dataset, uint64 last) =
                receivedAt(d, START + d * 1 days + 1, START + 8 days);
            proveNoFault(dataset, last);
        }
    }

    function test_data_after_the_drain_is_a_fault() public {
        Signer memory next = signer(1, 604);
        rotate(next, START + 5 days);
        (Dataset memory dataset, uint64 last) = receivedAt(0, START + 6 days + 1, START + 8 days);
        ChallengeBase.Proof memory proof = proofOf(dataset, last);
        VM.prank(CHALLENGER);
        challenges.challengeRevoked(dataset.record, proof);
        upheld(dataset, 4);
    }

    /// @dev Whatever is said of a key after a commit leaves the commit in order.
    function test_an_end_that_is_told_later_mends_and_breaks_nothing() public {
        Signer memory next = signer(1, 605);
        rotate(next, START + 5 days);
        (Dataset memory dataset, uint64 last) = receivedAt(0, START + 4 days, START + 4 days);
        VM.warp(START + 4 days + 10);
        VM.prank(OPERATOR);
        registry.declareCompromised(address(idao), secp.id);
        DeviceRegistry.Record memory record = recordOf(secp);
        eq(record.revokedAt, START + 4 days + 10, "ends now, not at the end of the drain");
        eq(record.retirement, 3, "compromised");
        VM.warp(START + 4 days + 20);
        proveNoFault(dataset, last);
        // Neither a later nor an earlier end is possible any more.
        VM.startPrank(OPERATOR);
        registry.revoke(address(idao), secp.id);
        registry.declareCompromised(address(idao), secp.id);
        VM.stopPrank();
        eq(recordOf(secp).revokedAt, START + 4 days + 10, "stays");
        eq(recordOf(secp).retirement, 3, "stays");
    }

    function test_a_revoked_key_may_turn_out_compromised() public {
        VM.prank(OPERATOR);
        registry.revoke(address(idao), secp.id);
        VM.warp(START + 50);
        VM.prank(OPERATOR);
        registry.declareCompromised(address(idao), secp.id);
        eq(recordOf(secp).retirement, 3, "told");
        eq(recordOf(secp).revokedAt, START, "its end stays");
        VM.expectRevert(
            abi.encodeWithSelector(DeviceRegistry.NotAuthorised.selector, address(idao), STRANGER)
        );
        VM.prank(STRANGER);
        registry.declareCompromised(address(idao), p256.id);
    }

    // ---------------------------------------------------------------------------- attestation

    function test_only_the_attester_says_where_keys_live() public {
        VM.prank(ATTESTER);
        registry.attest(address(idao), secp.id, 3);
        eq(recordOf(secp).attestationLevel, 3, "level");
        VM.prank(OPERATOR);
        registry.revoke(address(idao), secp.id);
        eq(recordOf(secp).attestationLevel, 3, "stays");
        VM.prank(ATTESTER);
        registry.attest(address(idao), secp.id, 0);
        eq(recordOf(secp).attestationLevel, 0, "taken back");
        eq(recordOf(secp).revokedAt, START, "nothing else changes");
        VM.startPrank(OWNER);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.OnlyAttester.selector, OWNER));
        registry.attest(address(idao), secp.id, 3);
        VM.stopPrank();
        VM.startPrank(ATTESTER);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.UnknownLevel.selector, uint8(16)));
        registry.attest(address(idao), secp.id, 16);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.NotRegistered.selector, bytes32(0)));
        registry.attest(address(idao), 0, 1);
        VM.stopPrank();
    }

    // -------------------------------------------------------------------------------- helpers

    /// @dev A dataset with an entry of the old key, received at `at`, committed at `committedAt`.
    function receivedAt(uint64 index, uint64 at, uint64 committedAt)
        private
        returns (Dataset memory dataset, uint64 last)
    {
        VM.warp(committedAt);
        bytes memory text = statement(fields(secp, 100 + index * 2));
        bytes memory made =
            abi.encodePacked(text, signature(secp, text), at * 1e6, uint32(0), uint32(0));
        dataset = commit(index, with(made));
        last = 2;
    }

    function proveNoFault(Dataset memory dataset, uint64 last) private {
        ChallengeBase.Proof memory proof = proofOf(dataset, last);
        VM.expectRevert(abi.encodeWithSelector(ChallengeBase.NotAFault.selector, uint8(4)));
        challenges.challengeRevoked(dataset.record, proof);
    }
}
