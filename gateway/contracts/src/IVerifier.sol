// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IVerifier
/// @notice The verifier's face in LazAI's documentation ("contract and execution flow"), unchanged.
interface IVerifier {
    function submitTEEProof(
        bytes calldata taskId,
        bytes calldata resultHash,
        bytes calldata teeSignature,
        bytes calldata attestationReport
    ) external;
    function submitZKProof(
        bytes calldata taskId,
        bytes calldata zkProof,
        bytes calldata publicSignals
    ) external;
    function submitFraudProof(bytes calldata taskId, bytes calldata evidence, address challenger)
        external;
    function verifyResult(bytes calldata taskId) external view returns (bool valid);
}
