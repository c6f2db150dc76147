// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bonded} from "./Bonded.sol";
import {ChallengeBase} from "../src/ChallengeBase.sol";
import {Challenges} from "../src/Challenges.sol";
import {IVerifier} from "../src/IVerifier.sol";

/// @dev LazAI's documented face.
contract VerifierTest is Bonded {
    function test_selectors_are_the_documented_ones() public pure {
        ok(
            IVerifier.submitTEEProof.selector
                == bytes4(keccak256("submitTEEProof(bytes,bytes,bytes,bytes)")),
            "TEE"
        );
        ok(
            IVerifier.submitZKProof.selector
                == bytes4(keccak256("submitZKProof(bytes,bytes,bytes)")),
            "ZK"
        );
        ok(
            IVerifier.submitFraudProof.selector
                == bytes4(keccak256("submitFraudProof(bytes,bytes,address)")),
            "fraud"
        );
        ok(IVerifier.verifyResult.selector == bytes4(keccak256("verifyResult(bytes)")), "result");
    }

    function test_what_is_not_verified_is_not_taken() public {
        VM.expectRevert(Challenges.TeeProofsNotVerified.selector);
        challenges.submitTEEProof("", "", "", "");
        VM.expectRevert(Challenges.ZkProofsNotVerified.selector);
        challenges.submitZKProof("", "", "");
    }

    function test_a_fraud_proof_is_a_challenge() public {
        Dataset memory dataset = commit(0, with(entry(signer(1, 5), 0)));
        bytes memory task = abi.encode(keyOf(dataset.record));
        bytes memory evidence =
            abi.encodeCall(challenges.challengeUnregistered, (dataset.record, proofOf(dataset, 2)));
        VM.startPrank(CHALLENGER);
        VM.expectRevert(
            abi.encodeWithSelector(Challenges.ChallengerDiffers.selector, STRANGER, CHALLENGER)
        );
        challenges.submitFraudProof(task, evidence, STRANGER);
        challenges.submitFraudProof(task, evidence, CHALLENGER);
        // What is void already is not shown by evidence of nothing.
        VM.expectRevert(
            abi.encodeWithSelector(Challenges.NothingUpheld.selector, keyOf(dataset.record))
        );
        challenges.submitFraudProof(task, abi.encodeCall(challenges.deposit, ()), CHALLENGER);
        VM.stopPrank();
        upheld(dataset, 3);
        ok(!challenges.verifyResult(task), "never verified");
    }

    function test_a_fraud_proof_that_proves_nothing_is_none() public {
        Dataset memory dataset = commit(0, honest());
        bytes memory task = abi.encode(keyOf(dataset.record));
        bytes memory evidence =
            abi.encodeCall(challenges.challengeUnregistered, (dataset.record, proofOf(dataset, 2)));
        VM.startPrank(CHALLENGER);
        VM.expectRevert(notAFault(3));
        challenges.submitFraudProof(task, evidence, CHALLENGER);
        bytes memory nothing =
            abi.encodeWithSelector(Challenges.NothingUpheld.selector, keyOf(dataset.record));
        VM.expectRevert(nothing);
        challenges.submitFraudProof(task, abi.encodeCall(challenges.deposit, ()), CHALLENGER);
        // The evidence is against another dataset than the task.
        VM.stopPrank();
        Dataset memory bad = commit(1, with(entry(signer(1, 5), 0)));
        evidence = abi.encodeCall(challenges.challengeUnregistered, (bad.record, proofOf(bad, 2)));
        VM.startPrank(CHALLENGER);
        VM.expectRevert(nothing);
        challenges.submitFraudProof(task, evidence, CHALLENGER);
        // Nothing is paid through this door, so no deposit is.
        evidence = abi.encodeCall(challenges.askForEntry, (dataset.record, 0));
        VM.expectRevert();
        challenges.submitFraudProof(task, evidence, CHALLENGER);
        VM.expectRevert(abi.encodeWithSelector(Challenges.MalformedTask.selector, bytes(hex"00")));
        challenges.submitFraudProof(hex"00", evidence, CHALLENGER);
        VM.stopPrank();
        ok(!challenges.verifyResult(task), "not yet");
        untouched(dataset);
        ok(challenges.verifyResult(task), "after its window");
    }
}
