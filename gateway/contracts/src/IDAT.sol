// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDATCore} from "./IDATCore.sol";

/// @title IDAT
/// @notice ERC-8028's core, and the one door through which datasets become classes.
interface IDAT is IDATCore {
    /// @notice The three attributes of a dataset's token, and where its texts are.
    /// @param value the licence: calls that the token itself may record; at most 2^40 - 1
    /// @param shareRatio the class's whole share weight, at least 1; above 65,535 it saturates
    /// @param expireAt last second of validity (Unix seconds), 0 for never
    struct DatParams {
        uint256 value;
        uint256 shareRatio;
        uint64 expireAt;
        string metadataURI;
        string policyURI;
    }

    /// @notice The only account that may call {forgeDataset}.
    function forge() external view returns (address);

    /// @notice Makes the class of a dataset and its token, which holds all shares of the class.
    /// Both ids are the dataset's key as a number. `to` gets no callback.
    function forgeDataset(bytes32 key, address to, bytes32 integrityHash, DatParams calldata params)
        external
        returns (uint256 tokenId);
}
