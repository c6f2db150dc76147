// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";

/// @dev What the two generations of LazAI's token share: ERC-1155, an id per mint, a url, a flag.
abstract contract ScoreToken is ERC1155, AccessControl {
    bytes32 public constant MINTER_ROLE = keccak256("MINTER_ROLE");

    uint256 public currentTokenId;
    mapping(uint256 tokenId => string) internal _urls;
    mapping(uint256 tokenId => bool) private _verified;

    event TokenMinted(address indexed to, uint256 indexed tokenId, string fileUrl);

    constructor(address admin) ERC1155("") {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(MINTER_ROLE, admin);
    }

    function mint(address to, uint256 amount, string calldata tokenUrl_, bool verified_)
        external
        onlyRole(MINTER_ROLE)
    {
        uint256 tokenId = ++currentTokenId;
        _mint(to, tokenId, amount, "");
        _urls[tokenId] = tokenUrl_;
        _verified[tokenId] = verified_;
        emit TokenMinted(to, tokenId, tokenUrl_);
    }

    function setTokenVerified(uint256 tokenId, bool verified_) external onlyRole(MINTER_ROLE) {
        _requireUrl(tokenId);
        _verified[tokenId] = verified_;
    }

    function verified(uint256 tokenId) external view returns (bool) {
        _requireUrl(tokenId);
        return _verified[tokenId];
    }

    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ERC1155, AccessControl)
        returns (bool)
    {
        return super.supportsInterface(interfaceId);
    }

    function _requireUrl(uint256 tokenId) internal view {
        require(bytes(_urls[tokenId]).length > 0, "DataAnchoringToken: non-existent token");
    }
}
