// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ScoreToken} from "./ScoreToken.sol";

/// @title DataAnchoringToken, for tests
/// @notice LazAI's token since July 2025: the url is told by `fileUrl`, `uri` is one for all.
contract DataAnchoringToken is ScoreToken {
    constructor(address admin) ScoreToken(admin) {}

    function setURI(string calldata uri_) external onlyRole(MINTER_ROLE) {
        _setURI(uri_);
    }

    /// @notice Ids as given, without the counter and without an event.
    function batchMint(
        address to,
        uint256[] calldata ids,
        uint256[] calldata amounts,
        string[] calldata fileUrls
    ) external onlyRole(MINTER_ROLE) {
        require(
            ids.length == amounts.length && ids.length == fileUrls.length,
            "DataAnchoringToken: arrays length mismatch"
        );
        for (uint256 i = 0; i < ids.length; i++) {
            _mint(to, ids[i], amounts[i], "");
            _urls[ids[i]] = fileUrls[i];
        }
    }

    function fileUrl(uint256 tokenId) external view returns (string memory) {
        _requireUrl(tokenId);
        return _urls[tokenId];
    }
}
