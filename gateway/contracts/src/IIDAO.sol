// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IIDAO
/// @notice The views of LazAI's published iDAO, and the few that Waystone's contracts ask.
interface IIDAO {
    // LazAI's views, same names and types.
    function name() external view returns (string memory);
    function description() external view returns (string memory);
    function version() external view returns (uint256);
    function token() external view returns (address);
    function verifiedComputing() external view returns (address);
    function settlement() external view returns (address);

    /// @notice Who controls the iDAO: its treasury, its tokens, its operators.
    function owner() external view returns (address);

    /// @notice Whether `account` is a gateway's hot key of this iDAO.
    function isOperator(address account) external view returns (bool);

    /// @notice Whether `account` may register and revoke devices and gateways of this iDAO.
    function canRegister(address account) external view returns (bool);

    /// @notice Whether `account` may commit and finalise datasets for this iDAO.
    function canForge(address account) external view returns (bool);

    /// @notice {canForge}, and how many datasets `account` may commit on one day (UTC); 0 is any
    /// number.
    function forgeRight(address account) external view returns (bool allowed, uint32 datasetsPerDay);
}
