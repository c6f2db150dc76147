// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bonded} from "./Bonded.sol";
import {ChallengeBase} from "../src/ChallengeBase.sol";
import {Challenges} from "../src/Challenges.sol";
import {DAT} from "../src/DAT.sol";
import {DatasetForge} from "../src/DatasetForge.sol";
import {WithheldChallenges} from "../src/WithheldChallenges.sol";

contract WithheldChallengesTest is Bonded {
    address private constant HELPER = address(0x4E19E4);

    function ask(Dataset memory dataset, uint64 index) private {
        VM.prank(CHALLENGER);
        challenges.askForEntry{value: DEPOSIT}(dataset.record, index);
    }

    function many(uint64 count) private view returns (bytes[] memory entries) {
        entries = new bytes[](count);
        for (uint64 i = 0; i < count; ++i) {
            entries[i] = entry(secp, 2 * i);
        }
    }

    function test_an_entry_that_nobody_shows_is_a_fault() public {
        Dataset memory dataset = commit(0, honest());
        VM.warp(START + WINDOW - 1);
        ask(dataset, 1);
        bytes32 key = keyOf(dataset.record);
        (address challenger, uint256 deadline, bool isClosed) = challenges.questionOf(key, 1);
        eq(challenger, CHALLENGER, "challenger");
        eq(deadline, START + WINDOW - 1 + RESPONSE, "deadline");
        ok(!isClosed, "open");
        VM.warp(deadline - 1);
        VM.expectRevert(
            abi.encodeWithSelector(
                WithheldChallenges.ResponseOpen.selector, key, uint64(1), deadline
            )
        );
        challenges.settleWithheld(dataset.record, 1);
        VM.warp(deadline);
        ChallengeBase.Proof memory proof = proofOf(dataset, 1);
        VM.expectRevert(
            abi.encodeWithSelector(
                WithheldChallenges.ResponseOver.selector, key, uint64(1), deadline
            )
        );
        challenges.showEntry(dataset.record, proof);
        // Whoever settles, the asker is paid.
        VM.prank(STRANGER);
        challenges.settleWithheld(dataset.record, 1);
        upheld(dataset, 9);
        VM.prank(CHALLENGER);
        eq(challenges.takeDeposit(payable(CHALLENGER)), DEPOSIT, "the deposit is back");
        eq(CHALLENGER.balance, 100 ether, "no more and no less");
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.NotAskedFor.selector, key, uint64(1))
        );
        challenges.settleWithheld(dataset.record, 1);
        eq(bond(), BOND - SLICE, "once");
    }

    function test_an_entry_that_anyone_shows_is_none() public {
        Dataset memory dataset = commit(0, honest());
        ask(dataset, 2);
        bytes32 key = keyOf(dataset.record);
        VM.warp(START + WINDOW);
        VM.expectRevert(
            abi.encodeWithSelector(DatasetForge.EntriesAskedFor.selector, key, uint256(1))
        );
        VM.prank(OPERATOR);
        datasetForge.finalise(dataset.record, params());
        VM.warp(START + RESPONSE - 1);
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.expectEmit(true, true, true, true, address(challenges));
        emit WithheldChallenges.EntryShown(key, 2, HELPER, dataset.entries[2]);
        VM.prank(HELPER);
        challenges.showEntry(dataset.record, proof);
        // The deposit pays the answer.
        VM.prank(HELPER);
        eq(challenges.takeDeposit(payable(HELPER)), DEPOSIT, "to who answered");
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.NothingToTake.selector, CHALLENGER)
        );
        VM.prank(CHALLENGER);
        challenges.takeDeposit(payable(CHALLENGER));
        VM.warp(START + 2 * RESPONSE);
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.NotAskedFor.selector, key, uint64(2))
        );
        challenges.settleWithheld(dataset.record, 2);
        untouched(dataset);
    }

    function test_only_the_entry_asked_for_is_an_answer() public {
        Dataset memory dataset = commit(0, honest());
        ask(dataset, 1);
        bytes32 key = keyOf(dataset.record);
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.NotAskedFor.selector, key, uint64(2))
        );
        challenges.showEntry(dataset.record, proof);
        // Leaf 2 of 3 as 1 of 2.
        proof.index = 1;
        VM.expectRevert(
            abi.encodeWithSelector(ChallengeBase.NotIncluded.selector, uint64(1), uint64(3))
        );
        challenges.showEntry(dataset.record, proof);
        // Bytes that are no entry are no answer, though they are in the tree.
        bytes[] memory odd = honest();
        odd[1] = "not an entry";
        Dataset memory rubbish = commit(1, odd);
        ask(rubbish, 1);
        proof = proofOf(rubbish, 1);
        VM.expectRevert();
        challenges.showEntry(rubbish.record, proof);
    }

    function test_four_at_a_time_and_each_once() public {
        Dataset memory dataset = commit(0, many(7));
        bytes32 key = keyOf(dataset.record);
        for (uint64 i = 0; i < 4; ++i) {
            ask(dataset, i);
        }
        eq(datasetForge.holdsOf(key), 4, "open");
        VM.expectRevert(abi.encodeWithSelector(DatasetForge.TooManyAskedFor.selector, key));
        ask(dataset, 4);
        ChallengeBase.Proof memory proof = proofOf(dataset, 0);
        challenges.showEntry(dataset.record, proof);
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.AskedBefore.selector, key, uint64(0))
        );
        ask(dataset, 0);
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.AskedBefore.selector, key, uint64(1))
        );
        ask(dataset, 1);
        ask(dataset, 4);
        for (uint64 i = 1; i < 5; ++i) {
            proof = proofOf(dataset, i);
            challenges.showEntry(dataset.record, proof);
        }
        eq(datasetForge.holdsOf(key), 0, "none open");
        eq(challenges.depositOf(address(this)), 5 * DEPOSIT, "each answer is paid");
        eq(datasetForge.openUntil(key), START + 1 days, "no longer than the window");
        untouched(dataset);
    }

    /// @dev An iDAO takes all places with entries that it can show, and shows them when the window is
    /// over: by then nobody else could ask.
    function test_who_holds_all_places_leaves_one_free_for_a_day() public {
        Dataset memory dataset = commit(0, many(7));
        bytes32 key = keyOf(dataset.record);
        for (uint64 i = 0; i < 4; ++i) {
            ask(dataset, i);
        }
        uint256 end = START + WINDOW + 5;
        VM.warp(end);
        ChallengeBase.Proof memory proof;
        for (uint64 i = 0; i < 4; ++i) {
            proof = proofOf(dataset, i);
            challenges.showEntry(dataset.record, proof);
        }
        eq(datasetForge.openUntil(key), end + 1 days, "open for a day");
        VM.expectRevert(abi.encodeWithSelector(DatasetForge.WindowOpen.selector, key, end + 1 days));
        VM.prank(OPERATOR);
        datasetForge.finalise(dataset.record, params());
        VM.warp(end + 1 days - 1);
        ask(dataset, 5);
        proof = proofOf(dataset, 5);
        challenges.showEntry(dataset.record, proof);
        // One place was all that was taken: nothing is extended.
        eq(datasetForge.openUntil(key), end + 1 days, "not again");
        VM.warp(end + 1 days);
        VM.expectRevert(
            abi.encodeWithSelector(ChallengeBase.WindowOver.selector, key, end + 1 days)
        );
        ask(dataset, 6);
        untouched(dataset);
    }

    function test_asking_costs_the_deposit_and_ends_with_the_window() public {
        Dataset memory dataset = commit(0, honest());
        bytes32 key = keyOf(dataset.record);
        VM.startPrank(CHALLENGER);
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.WrongDeposit.selector, uint256(1), DEPOSIT)
        );
        challenges.askForEntry{value: 1}(dataset.record, 0);
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.NoSuchEntry.selector, uint64(3), uint64(3))
        );
        challenges.askForEntry{value: DEPOSIT}(dataset.record, 3);
        VM.warp(START + WINDOW);
        VM.expectRevert(
            abi.encodeWithSelector(ChallengeBase.WindowOver.selector, key, uint256(START + WINDOW))
        );
        challenges.askForEntry{value: DEPOSIT}(dataset.record, 0);
        VM.stopPrank();
        untouched(dataset);
    }

    /// @dev Two entries withheld, or one beside another fault: one slice, and all deposits back.
    function test_a_void_dataset_gives_deposits_back_at_once() public {
        Dataset memory dataset = commit(0, with(entry(signer(1, 5), 0)));
        ask(dataset, 0);
        ask(dataset, 1);
        ask(dataset, 2);
        ChallengeBase.Proof memory proof = proofOf(dataset, 2);
        VM.prank(CHALLENGER);
        challenges.challengeUnregistered(dataset.record, proof);
        challenges.settleWithheld(dataset.record, 0);
        // One may still be shown, and is paid for.
        proof = proofOf(dataset, 1);
        VM.prank(HELPER);
        challenges.showEntry(dataset.record, proof);
        VM.warp(START + RESPONSE);
        challenges.settleWithheld(dataset.record, 2);
        eq(challenges.depositOf(CHALLENGER), 2 * DEPOSIT, "two back");
        eq(challenges.depositOf(HELPER), DEPOSIT, "one earned");
        bytes32 key = keyOf(dataset.record);
        VM.warp(START);
        VM.expectRevert(abi.encodeWithSelector(ChallengeBase.DatasetVoid.selector, key));
        ask(dataset, 0);
        upheld(dataset, 3);
    }

    function test_the_bond_is_there_until_the_last_question_is_settled() public {
        asIdao(address(datasetForge), abi.encodeCall(datasetForge.requestBond, (address(idao), 0)));
        Dataset memory dataset = commit(0, honest());
        asIdao(
            address(datasetForge), abi.encodeCall(datasetForge.requestBond, (address(idao), BOND))
        );
        VM.warp(START + WINDOW - 1);
        ask(dataset, 0);
        VM.warp(START + WINDOW - 1 + RESPONSE);
        VM.expectRevert();
        VM.prank(OWNER);
        datasetForge.takeBond(address(idao));
        challenges.settleWithheld(dataset.record, 0);
        upheld(dataset, 9);
    }

    function test_public_chains_have_seven_days_and_a_deposit() public {
        address dat_ = address(dat);
        VM.chainId(1088);
        DatasetForge.Terms memory short = terms();
        short.responseSeconds = 7 days - 1;
        VM.expectRevert(
            abi.encodeWithSelector(DatasetForge.ResponseTooShort.selector, short.responseSeconds)
        );
        new DatasetForge(DAT(dat_), registry, address(challenges), short);
        VM.expectRevert(
            abi.encodeWithSelector(WithheldChallenges.NoDeposit.selector, uint256(1088))
        );
        new Challenges(datasetForge, 0);
        VM.expectRevert(
            abi.encodeWithSelector(Challenges.WrongForge.selector, address(datasetForge))
        );
        new Challenges(datasetForge, 1);
    }
}
