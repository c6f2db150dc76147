// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ScoreToken} from "./ScoreToken.sol";

/// @title DataAnchoringToken before July 2025, for tests
/// @notice The url is told by `uri`; there is no `fileUrl`.
contract OldDataAnchoringToken is ScoreToken {
    constructor(address admin) ScoreToken(admin) {}

    function uri(uint256 tokenId) public view override returns (string memory) {
        _requireUrl(tokenId);
        return _urls[tokenId];
    }
}
