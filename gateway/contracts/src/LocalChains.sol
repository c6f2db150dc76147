// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title LocalChains
/// @notice Chain ids of development nodes. Only there may a window or a bond be zero, a response
/// time short, a realm zero: nothing on them is worth anything.
library LocalChains {
    /// @notice Whether `chainId` is one that anvil, hardhat or geth --dev give to themselves.
    function isLocal(uint256 chainId) internal pure returns (bool) {
        return chainId == 31337 || chainId == 1337;
    }
}
