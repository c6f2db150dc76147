// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IDeviceRegistry
/// @notice What other contracts ask the registry.
interface IDeviceRegistry {
    /// @notice Whether `id` is, or was, a gateway key of `idao`.
    function isGatewayOf(bytes32 id, address idao) external view returns (bool);
}
