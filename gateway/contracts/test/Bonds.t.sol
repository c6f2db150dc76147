// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bonded} from "./Bonded.sol";
import {Bonds} from "../src/Bonds.sol";
import {DAT} from "../src/DAT.sol";
import {DatasetForge} from "../src/DatasetForge.sol";

/// @dev A challenger that takes no coin.
contract Refusing {
    function send(address target, bytes calldata data) external {
        (bool done, bytes memory reason) = target.call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
    }
}

contract BondsTest is Bonded {
    uint64 private constant WITHDRAWAL = WINDOW + RESPONSE + 1 days;

    function asOwner(bytes memory data) private {
        VM.prank(OWNER);
        (bool done, bytes memory reason) = address(datasetForge).call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
    }

    function takeSlice(uint64 index) private {
        Dataset memory dataset = commit(index, with(entry(signer(1, 5), 0)));
        convict(dataset);
    }

    function convict(Dataset memory dataset) private {
        VM.startPrank(CHALLENGER);
        challenges.challengeUnregistered(dataset.record, proofOf(dataset, 2));
        VM.stopPrank();
    }

    function test_anyone_deposits_for_an_idao() public {
        VM.deal(STRANGER, 2 ether);
        VM.prank(STRANGER);
        datasetForge.depositBond{value: 2 ether}(address(idao));
        eq(bond(), BOND + 2 ether, "added");
        VM.expectRevert(Bonds.NoCoin.selector);
        datasetForge.depositBond{value: 0}(address(idao));
        VM.deal(address(this), 1);
        VM.expectRevert(abi.encodeWithSelector(Bonds.NotAnIdao.selector, STRANGER));
        datasetForge.depositBond{value: 1}(STRANGER);
    }

    function test_withdrawal_waits_longer_than_window_and_response() public {
        eq(datasetForge.withdrawalSeconds(), WITHDRAWAL, "window, response and a day");
        VM.startPrank(OWNER);
        VM.expectRevert(
            abi.encodeWithSelector(Bonds.NotTakeable.selector, address(idao), uint256(0))
        );
        datasetForge.takeBond(address(idao));
        datasetForge.requestBond(address(idao), 4 ether);
        VM.warp(START + WITHDRAWAL - 1);
        VM.expectRevert(
            abi.encodeWithSelector(
                Bonds.NotTakeable.selector, address(idao), uint256(START + WITHDRAWAL)
            )
        );
        datasetForge.takeBond(address(idao));
        VM.warp(START + WITHDRAWAL);
        eq(datasetForge.takeBond(address(idao)), 4 ether, "what was asked");
        eq(address(idao).balance, 4 ether, "to the treasury");
        eq(bond(), BOND - 4 ether, "the rest stays");
        VM.expectRevert(
            abi.encodeWithSelector(Bonds.NotTakeable.selector, address(idao), uint256(0))
        );
        datasetForge.takeBond(address(idao));
        VM.stopPrank();
    }

    function test_a_new_request_begins_anew_and_zero_ends_it() public {
        VM.startPrank(OWNER);
        datasetForge.requestBond(address(idao), 4 ether);
        VM.warp(START + WITHDRAWAL - 1);
        datasetForge.requestBond(address(idao), 5 ether);
        VM.warp(START + WITHDRAWAL);
        VM.expectRevert();
        datasetForge.takeBond(address(idao));
        datasetForge.requestBond(address(idao), 0);
        VM.warp(START + 3 * WITHDRAWAL);
        VM.expectRevert();
        datasetForge.takeBond(address(idao));
        VM.expectRevert(
            abi.encodeWithSelector(Bonds.BondTooSmall.selector, address(idao), BOND, BOND + 1)
        );
        datasetForge.requestBond(address(idao), BOND + 1);
        VM.stopPrank();
    }

    function test_only_the_idao_and_its_owner_move_the_bond() public {
        address[3] memory others = [OPERATOR, STRANGER, CHALLENGER];
        for (uint256 i = 0; i < others.length; ++i) {
            bytes memory refusal =
                abi.encodeWithSelector(Bonds.NotBondOwner.selector, address(idao), others[i]);
            VM.startPrank(others[i]);
            VM.expectRevert(refusal);
            datasetForge.requestBond(address(idao), 1);
            VM.expectRevert(refusal);
            datasetForge.takeBond(address(idao));
            VM.expectRevert(abi.encodeWithSelector(DatasetForge.OnlyChallenges.selector, others[i]));
            datasetForge.uphold(0, address(idao), 1, others[i]);
            VM.expectRevert(abi.encodeWithSelector(DatasetForge.OnlyChallenges.selector, others[i]));
            datasetForge.hold(0);
            VM.expectRevert(abi.encodeWithSelector(DatasetForge.OnlyChallenges.selector, others[i]));
            datasetForge.release(0);
            VM.stopPrank();
        }
    }

    function test_a_request_does_not_protect_from_slashing() public {
        asOwner(abi.encodeCall(datasetForge.requestBond, (address(idao), BOND - SLICE)));
        takeSlice(0);
        (uint256 amount, uint256 requested,) = datasetForge.bondOf(address(idao));
        eq(amount, BOND - SLICE, "sliced");
        eq(requested, BOND - SLICE, "no more than is there");
        // All of it is asked back, so nothing new is committed.
        DatasetForge.Record memory record = recordAt(1);
        VM.expectRevert(
            abi.encodeWithSelector(Bonds.BondTooSmall.selector, address(idao), uint256(0), SLICE)
        );
        VM.prank(OPERATOR);
        datasetForge.commit(record);
    }

    function test_what_is_asked_back_is_never_more_than_is_there() public {
        Dataset memory dataset = commit(0, with(entry(signer(1, 5), 0)));
        asOwner(abi.encodeCall(datasetForge.requestBond, (address(idao), BOND)));
        convict(dataset);
        (uint256 amount, uint256 requested,) = datasetForge.bondOf(address(idao));
        eq(amount, BOND - SLICE, "sliced");
        eq(requested, BOND - SLICE, "what is left of the request");
        VM.warp(START + WITHDRAWAL);
        VM.prank(OWNER);
        eq(datasetForge.takeBond(address(idao)), BOND - SLICE, "and it can be taken");
        eq(bond(), 0, "all of it");
    }

    function test_committing_needs_the_minimum_free() public {
        asOwner(abi.encodeCall(datasetForge.requestBond, (address(idao), BOND - SLICE + 1)));
        DatasetForge.Record[] memory records = new DatasetForge.Record[](1);
        records[0] = recordAt(0);
        bytes memory refusal =
            abi.encodeWithSelector(Bonds.BondTooSmall.selector, address(idao), SLICE - 1, SLICE);
        VM.startPrank(OPERATOR);
        VM.expectRevert(refusal);
        datasetForge.commit(records[0]);
        VM.expectRevert(refusal);
        datasetForge.commitMany(records);
        VM.stopPrank();
        VM.deal(address(this), 1);
        datasetForge.depositBond{value: 1}(address(idao));
        VM.prank(OPERATOR);
        datasetForge.commitMany(records);
    }

    /// @dev 10 coins hold three slices of 3 and one wei, and a rest.
    function test_never_more_is_taken_than_is_there() public {
        Dataset[] memory datasets = new Dataset[](5);
        for (uint64 i = 0; i < 5; ++i) {
            datasets[i] = commit(i, with(entry(signer(1, 5), 0)));
        }
        for (uint256 i = 0; i < 5; ++i) {
            convict(datasets[i]);
            eq(statusOf(datasets[i].record), 3, "void, whatever is left");
        }
        eq(bond(), 0, "all is gone");
        eq(datasetForge.rewardOf(CHALLENGER) + datasetForge.burnt(), BOND, "and no more");
        ok(datasetForge.burnt() * 2 >= BOND, "at least half is burnt");
    }

    function test_rewards_are_pulled_and_burnt_coin_stays() public {
        takeSlice(0);
        Refusing refusing = new Refusing();
        Dataset memory dataset = commit(1, with(entry(signer(1, 5), 0)));
        refusing.send(
            address(challenges),
            abi.encodeCall(challenges.challengeUnregistered, (dataset.record, proofOf(dataset, 2)))
        );
        eq(bond(), BOND - 2 * SLICE, "a refusing challenger does not hinder");
        VM.startPrank(CHALLENGER);
        eq(datasetForge.takeReward(payable(STRANGER)), SLICE / 2, "half");
        VM.expectRevert(Bonds.NoCoin.selector);
        datasetForge.takeReward(payable(STRANGER));
        VM.stopPrank();
        VM.expectRevert();
        refusing.send(
            address(datasetForge),
            abi.encodeCall(datasetForge.takeReward, (payable(address(refusing))))
        );
        eq(datasetForge.rewardOf(address(refusing)), SLICE / 2, "kept for it");
        eq(
            address(datasetForge).balance,
            bond() + datasetForge.burnt() + SLICE / 2,
            "every coin has its place"
        );
    }

    function test_public_chains_have_a_bond() public {
        address dat_ = address(dat);
        VM.chainId(1088);
        for (uint256 i = 0; i < 3; ++i) {
            DatasetForge.Terms memory poor = terms();
            if (i == 0) poor.minimumBond = 0;
            if (i == 1) (poor.minimumBond, poor.slice) = (0, 0);
            if (i == 2) poor.slice = poor.minimumBond + 1;
            VM.expectRevert(
                abi.encodeWithSelector(
                    Bonds.BondTerms.selector,
                    uint256(poor.minimumBond),
                    uint256(poor.slice),
                    uint256(1088)
                )
            );
            new DatasetForge(DAT(dat_), registry, address(challenges), poor);
        }
    }

    // Gas with a bond, a window and an url; figures are in .gas-snapshot.

    function test_gas_one_bonded_dataset() public {
        DatasetForge.Record memory record = recordAt(7);
        VM.prank(OPERATOR);
        datasetForge.commit(record);
        VM.warp(START + WINDOW);
        VM.prank(OPERATOR);
        datasetForge.finalise(record, params());
    }
}
