// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bonded} from "./Bonded.sol";
import {Trees} from "./Trees.sol";
import {ChallengeBase} from "../src/ChallengeBase.sol";
import {DatasetForge} from "../src/DatasetForge.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {EntryChallenges} from "../src/EntryChallenges.sol";
import {IDAO} from "../src/IDAO.sol";
import {SignatureJudge} from "../src/SignatureJudge.sol";
import {StatementReader} from "../src/StatementReader.sol";

contract EntryChallengesTest is Bonded {
    // -------------------------------------------------------------------------------- signatures

    function spoilt(Signer memory who, uint256 how) private view returns (bytes memory) {
        bytes memory text = statement(fields(who, 0));
        bytes memory good = signature(who, text);
        (bytes32 r, bytes32 s) = abi.decode(good, (bytes32, bytes32));
        if (how == 0) good = signature(who, "another message");
        if (how == 1) good = highS(who, good);
        if (how == 2) good = abi.encodePacked(bytes32(0), s);
        if (how == 3) good = abi.encodePacked(r, bytes32(0));
        if (how == 4) good = abi.encodePacked(bytes32(orderOf(who)), s);
        if (how == 5) good = abi.encodePacked(r, bytes32(orderOf(who) / 2 + 1));
        // Below p - n, where R could have an x of r + n.
        if (how == 6) good = abi.encodePacked(bytes32(uint256(1)), s);
        if (how == 7) good = abi.encodePacked(r, bytes32(uint256(s) ^ 1));
        return entryOf(text, good, RECEIVED);
    }

    function testFuzz_a_bad_secp256k1_signature_is_a_fault(uint256 how) public {
        Dataset memory dataset = commit(0, with(spoilt(secp, how % 8)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.prank(CHALLENGER);
        challenges.challengeSignature(dataset.record, proof, secp.key);
        upheld(dataset, 1);
    }

    function test_a_bad_p256_signature_is_a_fault() public {
        for (uint256 how = 0; how < 8; ++how) {
            if (how > 0) setUp();
            Dataset memory dataset = commit(0, with(spoilt(p256, how)));
            ChallengeBase.Proof memory proof = proofOf(dataset, 2);
            VM.prank(CHALLENGER);
            challenges.challengeSignature(dataset.record, proof, p256.key);
            upheld(dataset, 1);
        }
    }

    function test_good_signatures_are_none() public {
        Dataset memory dataset = commit(0, honest());
        for (uint64 i = 0; i < 3; ++i) {
            ChallengeBase.Proof memory proof = proofOf(dataset, i);
            VM.expectRevert(notAFault(1));
            VM.prank(CHALLENGER);
            challenges.challengeSignature(dataset.record, proof, i == 1 ? p256.key : secp.key);
        }
        untouched(dataset);
    }

    /// @dev Keys by which an honest signature would seem invalid.
    function test_a_key_that_is_not_the_devices_convicts_nobody() public {
        Dataset memory dataset = commit(0, honest());
        ChallengeBase.Proof memory proof = proofOf(dataset, 0);
        Signer memory stranger = signer(1, 12_345);
        VM.expectRevert(
            abi.encodeWithSelector(ChallengeBase.WrongKey.selector, stranger.id, secp.id)
        );
        challenges.challengeSignature(dataset.record, proof, stranger.key);

        SignatureJudge.Key memory key = secp.key;
        // The same 33 bytes as a key of another type have another id.
        key.keyType = 2;
        VM.expectRevert(
            abi.encodeWithSelector(
                ChallengeBase.WrongKey.selector, registry.idOf(2, key.publicKey), secp.id
            )
        );
        challenges.challengeSignature(dataset.record, proof, key);
        // The other point of that x: the parity is in the id.
        key = secp.key;
        key.y = bytes32(
            0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f - uint256(key.y)
        );
        refusesPoint(dataset, proof, key);
        // The right parity, off the curve.
        key.y = bytes32(uint256(secp.key.y) ^ 2);
        refusesPoint(dataset, proof, key);
        // The parity of the id is turned too: then it is another id.
        key = secp.key;
        key.publicKey = abi.encodePacked(secp.key.publicKey);
        key.publicKey[0] = bytes1(uint8(key.publicKey[0]) ^ 1);
        VM.expectRevert(
            abi.encodeWithSelector(
                ChallengeBase.WrongKey.selector, registry.idOf(1, key.publicKey), secp.id
            )
        );
        challenges.challengeSignature(dataset.record, proof, key);
        // Coordinates that are beyond the field.
        key = secp.key;
        key.y = bytes32(type(uint256).max - (1 - (uint256(key.y) & 1)));
        refusesPoint(dataset, proof, key);
        untouched(dataset);
    }

    function refusesPoint(
        Dataset memory dataset,
        ChallengeBase.Proof memory proof,
        SignatureJudge.Key memory key
    ) private {
        VM.expectRevert(
            abi.encodeWithSelector(SignatureJudge.NotThePoint.selector, key.publicKey, key.y)
        );
        challenges.challengeSignature(dataset.record, proof, key);
    }

    /// @dev An id may be of bytes that are no point. No signature of it is valid, nor invalid.
    function test_an_id_off_the_curve_cannot_be_judged() public {
        for (uint8 keyType = 1; keyType <= 2; ++keyType) {
            if (keyType == 2) setUp();
            Signer memory odd;
            odd.secret = 1;
            odd.key = SignatureJudge.Key(
                keyType, abi.encodePacked(hex"02", bytes32(uint256(5))), bytes32(uint256(4))
            );
            odd.id = registry.idOf(keyType, odd.key.publicKey);
            Dataset memory dataset = commit(0, with(entry(odd, 0)));
            refusesPoint(dataset, proofOf(dataset, 2), odd.key);
            untouched(dataset);
        }
    }

    function test_ed25519_cannot_be_judged() public {
        Signer memory ed;
        ed.secret = 1;
        ed.key = SignatureJudge.Key(3, abi.encodePacked(keccak256("ed")), 0);
        ed.id = registry.idOf(3, ed.key.publicKey);
        Fields memory f = fields(ed, 0);
        Dataset memory dataset = commit(0, with(entry(secp, f)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.expectRevert(abi.encodeWithSelector(SignatureJudge.NotJudgeable.selector, uint8(3)));
        challenges.challengeSignature(dataset.record, proof, ed.key);
        untouched(dataset);
    }

    /// @dev However little gas a challenge is given, and wherever it ends, an honest entry stays
    /// honest; and a bad one is found with enough.
    function test_too_little_gas_is_not_guilt() public {
        Dataset memory dataset = commit(0, honest());
        for (uint64 i = 0; i < 2; ++i) {
            bytes memory data = abi.encodeCall(
                challenges.challengeSignature,
                (dataset.record, proofOf(dataset, i), i == 1 ? p256.key : secp.key)
            );
            for (uint256 gas_ = 20_000; gas_ < 500_000; gas_ += i == 1 ? 7919 : 997) {
                (bool done,) = address(challenges).call{gas: gas_}(data);
                ok(!done, "an honest entry is never at fault");
            }
        }
        untouched(dataset);

        setUp();
        dataset = commit(0, with(spoilt(secp, 6)));
        bytes memory bad = abi.encodeCall(
            challenges.challengeSignature, (dataset.record, proofOf(dataset, 2), secp.key)
        );
        uint256 least;
        for (least = 20_000; least < 500_000; least += 997) {
            VM.prank(CHALLENGER);
            (bool done,) = address(challenges).call{gas: least}(bad);
            if (done) break;
            eq(bond(), BOND, "not half upheld");
        }
        upheld(dataset, 1);
    }

    // ------------------------------------------------------------------------------ proofs, record

    /// @dev Leaf 2 of 3 also "verifies" as 1 of 2 and as 4 of 5: the size is the record's.
    function test_a_place_of_another_tree_is_no_proof() public {
        Dataset memory dataset = commit(0, honest());
        Dataset memory other = commit(1, with(entry(secp, 4)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        uint64[3] memory places = [uint64(1), 4, 3];
        for (uint256 i = 0; i < places.length; ++i) {
            proof.index = places[i];
            ChallengeBase.Proof memory own = proofOf(dataset, 2);
            VM.expectRevert(
                abi.encodeWithSelector(
                    ChallengeBase.NotIncluded.selector, places[i], dataset.record.count
                )
            );
            challenges.challengeOverlap(dataset.record, own, dataset.record, proof);
        }
        // With the size changed it is another record.
        proof.index = 4;
        dataset.record.count = 5;
        bytes32 key = keyOf(dataset.record);
        (,,, bytes32 known) = datasetForge.statusOf(key);
        VM.expectRevert(
            abi.encodeWithSelector(
                ChallengeBase.RecordDiffers.selector,
                key,
                known,
                keccak256(abi.encode(dataset.record))
            )
        );
        challenges.challengeTime(dataset.record, proof);
        dataset.record.count = 3;
        // An entry of another dataset, and an inner node as a leaf.
        proof = proofOf(other, 2);
        VM.expectRevert(
            abi.encodeWithSelector(ChallengeBase.NotIncluded.selector, uint64(2), uint64(3))
        );
        challenges.challengeTime(dataset.record, proof);
        proof.entry =
            abi.encodePacked(Trees.leafOf(dataset.entries[0]), Trees.leafOf(dataset.entries[1]));
        proof.index = 0;
        proof.path = new bytes32[](1);
        proof.path[0] = Trees.leafOf(dataset.entries[2]);
        VM.expectRevert(
            abi.encodeWithSelector(ChallengeBase.NotIncluded.selector, uint64(0), uint64(3))
        );
        challenges.challengeTime(dataset.record, proof);
        untouched(dataset);
    }

    function test_only_what_is_committed_is_challenged_and_only_in_its_window() public {
        Dataset memory dataset = Dataset(recordOf(0, with(spoilt(secp, 0))), with(spoilt(secp, 0)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        bytes32 key = keyOf(dataset.record);
        VM.expectRevert(abi.encodeWithSelector(ChallengeBase.NotCommitted.selector, key));
        challenges.challengeSignature(dataset.record, proof, secp.key);
        VM.prank(OPERATOR);
        datasetForge.commit(dataset.record);
        VM.warp(START + WINDOW);
        bytes memory over =
            abi.encodeWithSelector(ChallengeBase.WindowOver.selector, key, uint256(START + WINDOW));
        VM.expectRevert(over);
        challenges.challengeSignature(dataset.record, proof, secp.key);
        VM.prank(OPERATOR);
        datasetForge.finalise(dataset.record, params());
        // Finalised is final, whatever the clock of the chain says.
        VM.warp(START);
        VM.expectRevert(over);
        challenges.challengeSignature(dataset.record, proof, secp.key);
        eq(bond(), BOND, "the bond is whole");
        VM.warp(START + WINDOW - 1);
        dataset = commit(1, with(spoilt(secp, 0)));
        VM.warp(START + 2 * WINDOW - 2);
        VM.prank(CHALLENGER);
        challenges.challengeSignature(dataset.record, proof, secp.key);
        eq(bond(), BOND - SLICE, "the last second counts");
    }

    function test_a_fault_is_paid_once_and_another_fault_again() public {
        Fields memory f = fields(secp, 0);
        f.realm = keccak256("elsewhere");
        bytes memory text = statement(f);
        Dataset memory dataset = commit(0, with(entryOf(text, signature(secp, "other"), RECEIVED)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.startPrank(CHALLENGER);
        challenges.challengeSignature(dataset.record, proof, secp.key);
        VM.expectRevert(
            abi.encodeWithSelector(
                DatasetForge.AlreadyUpheld.selector, keyOf(dataset.record), uint8(1)
            )
        );
        challenges.challengeSignature(dataset.record, proof, secp.key);
        challenges.challengeRealm(dataset.record, proof);
        VM.stopPrank();
        eq(bond(), BOND - 2 * SLICE, "a slice for each fault");
    }

    function test_an_idao_that_challenges_itself_loses_at_least_half() public {
        Dataset memory dataset = commit(0, with(spoilt(secp, 0)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        asIdao(
            address(challenges),
            abi.encodeCall(challenges.challengeSignature, (dataset.record, proof, secp.key))
        );
        uint256 before = bond() + address(idao).balance;
        asIdao(
            address(datasetForge), abi.encodeCall(datasetForge.takeReward, (payable(address(idao))))
        );
        uint256 lost = BOND - (bond() + address(idao).balance);
        ok(before < BOND && lost * 2 >= SLICE, "it does not pay");
    }

    function test_another_entry_version_is_not_judged() public {
        bytes memory later = entry(secp, 0);
        later[14] = 0x32;
        Dataset memory dataset = commit(0, with(later));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.expectRevert();
        challenges.challengeSignature(dataset.record, proof, secp.key);
        VM.expectRevert();
        challenges.challengeRealm(dataset.record, proof);
        untouched(dataset);
    }

    // ------------------------------------------------------------------------------------- realm

    function test_a_foreign_realm_is_a_fault() public {
        bytes32[2] memory realms = [realmOf(1088, address(idao)), realmOf(31337, address(registry))];
        for (uint256 i = 0; i < 2; ++i) {
            if (i > 0) setUp();
            Fields memory f = fields(secp, 0);
            f.realm = realms[i];
            Dataset memory dataset = commit(0, with(entry(secp, f)));
            ChallengeBase.Proof memory proof = proofOf(dataset, 2);
            VM.prank(CHALLENGER);
            challenges.challengeRealm(dataset.record, proof);
            upheld(dataset, 2);
        }
    }

    function test_the_own_realm_and_on_a_local_chain_the_zero_realm_are_none() public {
        Fields memory f = fields(secp, 0);
        f.realm = 0;
        Dataset memory dataset = commit(0, with(entry(secp, f)));
        for (uint64 i = 0; i < 3; ++i) {
            ChallengeBase.Proof memory proof = proofOf(dataset, i);
            VM.expectRevert(notAFault(2));
            challenges.challengeRealm(dataset.record, proof);
        }
        untouched(dataset);
    }

    function test_the_zero_realm_is_foreign_on_a_public_chain() public {
        VM.chainId(1088);
        setUp();
        Fields memory f = fields(secp, 0);
        f.realm = 0;
        Dataset memory dataset = commit(0, with(entry(secp, f)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.prank(CHALLENGER);
        challenges.challengeRealm(dataset.record, proof);
        upheld(dataset, 2);
    }

    function test_after_a_chain_split_no_realm_is_judged() public {
        Dataset memory dataset = commit(0, honest());
        ChallengeBase.Proof memory proof = proofOf(dataset, 0);
        VM.chainId(31338);
        VM.expectRevert(
            abi.encodeWithSelector(
                EntryChallenges.ChainSplit.selector, uint256(31338), uint256(31337)
            )
        );
        challenges.challengeRealm(dataset.record, proof);
        untouched(dataset);
    }

    // ---------------------------------------------------------------------------------- registry

    function test_an_unregistered_device_is_a_fault() public {
        Signer memory unknown = signer(1, 777);
        Dataset memory dataset = commit(0, with(entry(unknown, 0)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.warp(START + 1);
        // Registering it now mends nothing.
        VM.prank(OPERATOR);
        registry.register(address(idao), DeviceRegistry.Key(1, 1, unknown.key.publicKey));
        VM.prank(CHALLENGER);
        challenges.challengeUnregistered(dataset.record, proof);
        upheld(dataset, 3);
    }

    function test_a_device_of_another_idao_is_a_fault() public {
        Signer memory theirs = signer(1, 778);
        VM.startPrank(STRANGER);
        address other = factory.create(0, initParams(STRANGER));
        registry.register(other, DeviceRegistry.Key(1, 1, theirs.key.publicKey));
        VM.stopPrank();
        Dataset memory dataset = commit(0, with(entry(theirs, 0)));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.prank(CHALLENGER);
        challenges.challengeUnregistered(dataset.record, proof);
        upheld(dataset, 3);
    }

    /// @dev Registered long before, in the second of the commit, revoked before or since, tried
    /// again, claimed by another iDAO since: all registered at the commit.
    function test_a_registered_device_is_none() public {
        Signer memory fresh = signer(1, 779);
        VM.prank(OPERATOR);
        registry.register(address(idao), DeviceRegistry.Key(1, 1, fresh.key.publicKey));
        Dataset memory dataset = commit(0, with(entry(fresh, 0)));
        VM.warp(START + 10);
        VM.startPrank(OPERATOR);
        registry.revoke(address(idao), fresh.id);
        registry.revoke(address(idao), secp.id);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.Revoked.selector, secp.id));
        registry.register(address(idao), DeviceRegistry.Key(1, 1, secp.key.publicKey));
        VM.stopPrank();
        VM.startPrank(STRANGER);
        address other = factory.create(0, initParams(STRANGER));
        registry.register(other, DeviceRegistry.Key(1, 1, fresh.key.publicKey));
        VM.stopPrank();
        for (uint64 i = 0; i < 3; ++i) {
            ChallengeBase.Proof memory proof = proofOf(dataset, i);
            VM.expectRevert(notAFault(3));
            challenges.challengeUnregistered(dataset.record, proof);
            VM.expectRevert(notAFault(4));
            challenges.challengeRevoked(dataset.record, proof);
        }
        untouched(dataset);
    }

    /// @dev Revokes the device at `revokedAt` and commits at `committedAt` what was received at
    /// `receivedAt`; all in seconds.
    function revoked(uint64 revokedAt, uint64 receivedAt, uint64 committedAt, uint32 flags)
        private
        returns (Dataset memory dataset, ChallengeBase.Proof memory proof)
    {
        VM.warp(revokedAt);
        VM.prank(OPERATOR);
        registry.revoke(address(idao), secp.id);
        VM.warp(committedAt);
        bytes memory text = statement(fields(secp, 0));
        bytes memory made =
            abi.encodePacked(text, signature(secp, text), receivedAt * 1e6, flags, uint32(0));
        dataset = commit(0, with(made));
        proof = proofOf(dataset, 2);
    }

    function test_data_received_after_a_revocation_and_its_grace_is_a_fault() public {
        (Dataset memory dataset, ChallengeBase.Proof memory proof) =
            revoked(START - 2 days, START - 1 days + 1, START, 0);
        VM.prank(CHALLENGER);
        challenges.challengeRevoked(dataset.record, proof);
        upheld(dataset, 4);
    }

    function test_a_late_revocation_is_none() public {
        // Revoked; received; committed; ingest flags. Received before, within the grace to the
        // second, with a fast clock but committed within the grace, with a clock that the gateway
        // itself doubts, in the second of the commit, after it.
        uint64[4][6] memory cases = [
            [START - 20 days, START - 21 days, START, 0],
            [START - 2 days, START - 1 days, START, 0],
            [START - 1 days, START + 5 days, START, 0],
            [START - 20 days, START - 1 days, START, 1],
            [START, START - 60, START, 0],
            [START - 1, START + 20 days, START, 0]
        ];
        for (uint256 i = 0; i < cases.length; ++i) {
            if (i > 0) setUp();
            (Dataset memory dataset, ChallengeBase.Proof memory proof) =
                revoked(cases[i][0], cases[i][1], cases[i][2], uint32(cases[i][3]));
            VM.expectRevert(notAFault(4));
            challenges.challengeRevoked(dataset.record, proof);
            untouched(dataset);
        }
    }

    function test_a_revocation_since_the_commit_is_none() public {
        bytes memory text = statement(fields(secp, 0));
        // A receive time far ahead, as a clock that runs fast would give.
        bytes memory made = entryOf(text, signature(secp, text), (START + 30 days) * 1e6);
        Dataset memory dataset = commit(0, with(made));
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.warp(START + 1);
        VM.prank(OPERATOR);
        registry.revoke(address(idao), secp.id);
        VM.expectRevert(notAFault(4));
        challenges.challengeRevoked(dataset.record, proof);
        untouched(dataset);
    }

    // -------------------------------------------------------------------------------------- time

    function test_times_outside_the_committed_range_are_a_fault() public {
        for (uint256 i = 0; i < 2; ++i) {
            if (i > 0) setUp();
            Fields memory f = fields(secp, 0);
            if (i == 0) f.minTime -= 1;
            else f.maxTime += 1;
            Dataset memory dataset = commit(0, with(entry(secp, f)));
            ChallengeBase.Proof memory proof = proofOf(dataset, 2);
            VM.prank(CHALLENGER);
            challenges.challengeTime(dataset.record, proof);
            upheld(dataset, 6);
        }
    }

    function test_times_within_it_and_times_since_a_start_are_none() public {
        Fields memory f = fields(secp, 0);
        (f.timeBase, f.minTime, f.maxTime) = (0, 0, 5e6);
        Dataset memory dataset = commit(0, with(entry(secp, f)));
        for (uint64 i = 0; i < 3; ++i) {
            ChallengeBase.Proof memory proof = proofOf(dataset, i);
            VM.expectRevert(notAFault(6));
            challenges.challengeTime(dataset.record, proof);
        }
        untouched(dataset);
    }

    // ----------------------------------------------------------------------------------- overlap

    function pair(Fields memory a, Fields memory b) private returns (Dataset memory dataset) {
        bytes[] memory entries = new bytes[](3);
        entries[0] = entry(secp, a);
        entries[1] = entry(p256, 0);
        entries[2] = entry(secp, b);
        return commit(0, entries);
    }

    function ranged(uint64 first, uint32 count) private view returns (Fields memory f) {
        f = fields(secp, first);
        f.count = count;
    }

    /// @dev One statement twice, one frame in common, one inside the other, and sums beyond 2^64.
    function test_overlapping_ranges_are_a_fault() public {
        for (uint256 i = 0; i < 5; ++i) {
            if (i > 0) setUp();
            Fields memory a = ranged(100, 10);
            Fields memory b = a;
            if (i == 1) b = ranged(109, 10);
            if (i == 2) b = ranged(91, 10);
            if (i == 3) b = ranged(104, 1);
            if (i == 4) (a, b) = (ranged(type(uint64).max - 1, 10), ranged(type(uint64).max, 1));
            Dataset memory dataset = pair(a, b);
            ChallengeBase.Proof memory one = proofOf(dataset, 0);
            ChallengeBase.Proof memory two = proofOf(dataset, 2);
            VM.prank(CHALLENGER);
            if (i % 2 == 0) challenges.challengeOverlap(dataset.record, one, dataset.record, two);
            else challenges.challengeOverlap(dataset.record, two, dataset.record, one);
            upheld(dataset, 5);
        }
    }

    function test_ranges_that_touch_and_ranges_of_others_are_none() public {
        for (uint256 i = 0; i < 8; ++i) {
            if (i > 0) setUp();
            Fields memory a = ranged(100, 10);
            Fields memory b = ranged(100, 10);
            if (i == 0) b.first = 110;
            if (i == 1) b.first = 90;
            if (i == 2) b.session = bytes16(uint128(1));
            if (i == 3) b.stream = 8;
            if (i == 4) b.device = p256.id;
            // A sum that wraps would reach into what lies at zero.
            if (i == 5) (a.first, a.count, b.first) = (type(uint64).max, 1000, 5);
            if (i == 6) (a.first, b.first, b.count) = (0, type(uint64).max - 3, 100);
            // An empty range covers nothing.
            if (i == 7) (b.first, b.count) = (105, 0);
            Dataset memory dataset = pair(a, b);
            ChallengeBase.Proof memory one = proofOf(dataset, 0);
            ChallengeBase.Proof memory two = proofOf(dataset, 2);
            VM.expectRevert(notAFault(5));
            challenges.challengeOverlap(dataset.record, one, dataset.record, two);
            VM.expectRevert(notAFault(5));
            challenges.challengeOverlap(dataset.record, two, dataset.record, one);
            VM.expectRevert(EntryChallenges.SameEntry.selector);
            challenges.challengeOverlap(dataset.record, one, dataset.record, one);
            untouched(dataset);
        }
    }

    function testFuzz_ranges_overlap_when_they_share_a_number(
        uint64 first,
        uint8 count,
        uint8 distance,
        uint8 otherCount
    ) public {
        uint32 n = uint32(count) + 1;
        uint32 m = uint32(otherCount) + 1;
        VM.assume(first <= type(uint64).max - 256);
        Dataset memory dataset = pair(ranged(first, n), ranged(first + distance, m));
        ChallengeBase.Proof memory one = proofOf(dataset, 0);
        ChallengeBase.Proof memory two = proofOf(dataset, 2);
        bool shared = distance < n;
        if (!shared) VM.expectRevert(notAFault(5));
        VM.prank(CHALLENGER);
        challenges.challengeOverlap(dataset.record, one, dataset.record, two);
        eq(bond(), shared ? BOND - SLICE : BOND, "bond");
    }

    function test_an_overlap_with_an_earlier_dataset_of_the_log_is_a_fault() public {
        Dataset memory first = commit(0, honest());
        VM.warp(START + WINDOW);
        VM.prank(OPERATOR);
        datasetForge.finalise(first.record, params());
        Dataset memory second = commit(1, with(entry(secp, 1)));
        ChallengeBase.Proof memory old = proofOf(first, 0);
        ChallengeBase.Proof memory new_ = proofOf(second, 2);
        // The finalised one is out of reach; the new one is not.
        VM.expectRevert();
        challenges.challengeOverlap(first.record, old, second.record, new_);
        VM.prank(CHALLENGER);
        challenges.challengeOverlap(second.record, new_, first.record, old);
        VM.warp(START);
        upheld(second, 5);
        eq(statusOf(first.record), 2, "the first keeps its token");
    }

    /// @dev A device that sent the same to two gateways of one iDAO, or again to a gateway that had
    /// lost it and began a new log.
    function test_other_gateways_and_logs_after_a_restore_are_none() public {
        Dataset memory dataset = commit(0, honest());
        Dataset memory again = Dataset(recordOf(0, honest()), honest());
        again.record.logId = bytes16(uint128(0x2222));
        VM.startPrank(OPERATOR);
        again.record.gateway =
            registry.register(address(idao), DeviceRegistry.Key(1, 2, signer(1, 99).key.publicKey));
        datasetForge.commit(again.record);
        VM.stopPrank();
        Dataset memory restored = Dataset(recordOf(0, honest()), honest());
        restored.record.logId = bytes16(uint128(0x3333));
        VM.prank(OPERATOR);
        datasetForge.commit(restored.record);
        ChallengeBase.Proof memory proof = proofOf(dataset, 0);
        VM.expectRevert(EntryChallenges.OtherLog.selector);
        challenges.challengeOverlap(dataset.record, proof, again.record, proof);
        VM.expectRevert(EntryChallenges.OtherLog.selector);
        challenges.challengeOverlap(restored.record, proof, dataset.record, proof);
        untouched(dataset);
    }

    /// @dev Another iDAO commits our entries under our log's name.
    function test_a_copy_by_another_idao_is_none() public {
        Dataset memory dataset = commit(0, honest());
        VM.startPrank(STRANGER);
        address other = factory.create(0, initParams(STRANGER));
        Dataset memory copy = Dataset(recordOf(1, honest()), honest());
        copy.record.idao = other;
        copy.record.gateway =
            registry.register(other, DeviceRegistry.Key(1, 2, signer(1, 98).key.publicKey));
        VM.deal(STRANGER, BOND);
        datasetForge.depositBond{value: BOND}(other);
        datasetForge.commit(copy.record);
        ChallengeBase.Proof memory proof = proofOf(dataset, 0);
        VM.expectRevert(EntryChallenges.OtherLog.selector);
        challenges.challengeOverlap(dataset.record, proof, copy.record, proof);
        VM.stopPrank();
        untouched(dataset);
    }

    /// @dev What was honest in a void dataset is sealed anew in the same log.
    function test_what_was_in_a_void_dataset_may_be_committed_again() public {
        Dataset memory bad = commit(0, with(spoilt(secp, 0)));
        ChallengeBase.Proof memory proof = proofOf(bad, 2);
        VM.prank(CHALLENGER);
        challenges.challengeSignature(bad.record, proof, secp.key);
        Dataset memory again = commit(1, with(entry(secp, 4)));
        ChallengeBase.Proof memory old = proofOf(bad, 0);
        ChallengeBase.Proof memory new_ = proofOf(again, 0);
        VM.expectRevert(
            abi.encodeWithSelector(ChallengeBase.DatasetVoid.selector, keyOf(bad.record))
        );
        challenges.challengeOverlap(again.record, new_, bad.record, old);
        VM.expectRevert(
            abi.encodeWithSelector(ChallengeBase.DatasetVoid.selector, keyOf(bad.record))
        );
        challenges.challengeOverlap(bad.record, old, again.record, new_);
        eq(bond(), BOND - SLICE, "one slice");
    }

    // ---------------------------------------------------------------------------------- DeviceFault

    function test_two_statements_over_one_range_are_the_devices_fault() public {
        for (uint256 i = 0; i < 2; ++i) {
            Signer memory who = i == 0 ? secp : p256;
            Fields memory f = fields(who, 0);
            bytes memory a = statement(f);
            f.minTime -= 1;
            bytes memory b = statement(f);
            (bytes memory signedA, bytes memory signedB) = (signature(who, a), signature(who, b));
            VM.expectEmit(true, true, true, true, address(challenges));
            emit EntryChallenges.DeviceFault(who.id, sha256(a), sha256(b));
            challenges.reportDevice(who.key, a, signedA, b, signedB);
            // Nobody speaks for a device.
            VM.expectRevert(EntryChallenges.NotTheDevice.selector);
            challenges.reportDevice(who.key, a, signedA, b, signedA);
            VM.expectRevert(notAFault(0));
            challenges.reportDevice(who.key, a, signedA, a, signedA);
            f.first = 2;
            b = statement(f);
            signedB = signature(who, b);
            VM.expectRevert(notAFault(0));
            challenges.reportDevice(who.key, a, signedA, b, signedB);
        }
        eq(bond(), BOND, "no slash");
    }
}
