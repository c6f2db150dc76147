// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The few calls that LazAI's contracts make to each other.
interface INodeList {
    function isNode(address nodeAddress) external view returns (bool);
}

interface IScoreToken {
    function mint(address to, uint256 amount, string calldata tokenUrl, bool isVerified) external;
}
