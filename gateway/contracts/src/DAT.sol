// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {IDAT} from "./IDAT.sol";
import {IDATCore} from "./IDATCore.sol";

/// @title DAT
/// @notice Data Anchoring Token: ERC-8028's `IDATCore` with an ERC-721 face. A class is a dataset.
///
/// The token whose id is the class id is the dataset's own: it is minted to the iDAO when the
/// dataset is forged and holds the class's whole share weight, which never changes. Its holder
/// issues licence tokens (quota and expiry, no share) to buyers.
///
/// What the draft leaves open is answered so:
/// - a class operator acts in usage and value only, as the draft says; it cannot move tokens, and
///   what it claims goes to the token's owner;
/// - unclaimed revenue follows the token when it is transferred;
/// - quota may not move to a token that expires later, else every licence would outlive its date;
/// - an expired dataset token keeps what was settled before, and its class takes no more revenue;
/// - revenue is counted by what arrived, so a fee on transfer costs the payer's class alone. An
///   ERC-20 that takes balances away by itself (rebasing) harms claims in that ERC-20 only.
contract DAT is ERC721, ReentrancyGuard, IDAT {
    using SafeERC20 for IERC20;

    /// @dev A token in one slot. `shareRatio` has one of the widths that the draft names.
    struct Token {
        address owner;
        uint40 expireAt;
        uint40 value;
        uint16 shareRatio;
    }

    /// @dev Revenue of a class in one asset. `accPerShare` is scaled by 1e18; `remainder` is what
    /// its division left (always below the share weight), so that no part of a unit is lost.
    struct Revenue {
        uint240 accPerShare;
        uint16 remainder;
    }

    uint256 private constant SCALE = 1e18;

    /// @inheritdoc IDAT
    address public immutable override forge;

    mapping(uint256 tokenId => Token) private _tokens;
    /// @dev Licence tokens only: a dataset's token has the id of its class.
    mapping(uint256 tokenId => uint256 classId) private _licenceClass;
    mapping(uint256 tokenId => bool) private _expirySeen;
    mapping(address owner => uint256 count) private _balances;
    uint256 private _licences;

    mapping(uint256 classId => bytes32) private _integrityHash;
    mapping(uint256 classId => string) private _metadataURI;
    mapping(uint256 classId => string) private _policyURI;
    /// @notice Where the metadata of an owner's datasets is, see {setMetadataBase}.
    mapping(address holder => string) public metadataBaseOf;
    mapping(uint256 classId => mapping(address asset => Revenue)) private _revenue;
    mapping(uint256 tokenId => mapping(address asset => uint256 amount)) private _claimed;
    mapping(address owner => mapping(uint256 classId => mapping(address operator => bool))) private
        _classApprovals;

    /// @notice Metadata of `holder`'s datasets is below `base` from now on.
    event MetadataBaseSet(address indexed holder, string base);

    error OnlyForge(address caller);
    /// @notice Classes are datasets; they come from DatasetForge, through {forgeDataset}.
    error ClassIsDataset();
    error UnknownClass(uint256 classId);
    /// @notice The caller is neither the token's owner nor its operator in that class.
    error NotAuthorised(uint256 tokenId, address caller);
    /// @notice All shares are with the dataset's token; licences carry none.
    error SharesAreFixed(uint256 shareRatio);
    error ShareRequired();
    /// @notice The class's integrity hash is its manifest's and never changes.
    error IntegrityHashIsFixed(bytes32 integrityHash);
    error TokenExpired(uint256 tokenId, uint64 expireAt);
    error ExpiryInPast(uint64 expireAt);
    /// @notice Quota cannot move to a token that expires later.
    error ExpiryExtended(uint64 from, uint64 to);
    error ValueTooLarge(uint256 value);
    error QuotaExceeded(uint256 tokenId, uint256 value, uint256 wanted);
    error ClassMismatch(uint256 fromClassId, uint256 toClassId);
    /// @notice The class has no active share, so nobody could claim the revenue.
    error NoActiveShare(uint256 classId);
    error ZeroAmount();
    /// @notice address(0) stands for the native coin and is not an ERC-20.
    error NotAnERC20(address asset);
    error ZeroAddress();

    /// @param forge_ the DatasetForge; its address is known before it is deployed
    constructor(address forge_) ERC721("Waystone Data Anchoring Token", "DAT") {
        if (forge_ == address(0)) revert ZeroAddress();
        forge = forge_;
    }

    // ---------------------------------------------------------------------------------- forging

    /// @inheritdoc IDAT
    function forgeDataset(bytes32 key, address to, bytes32 integrityHash, DatParams calldata params)
        external
        override
        returns (uint256 tokenId)
    {
        if (msg.sender != forge) revert OnlyForge(msg.sender);
        if (params.shareRatio == 0) revert ShareRequired();
        tokenId = uint256(key);
        _integrityHash[tokenId] = integrityHash;
        // Texts are stored only when there are any: an empty one is what an unset slot reads as.
        if (bytes(params.metadataURI).length > 0) _metadataURI[tokenId] = params.metadataURI;
        if (bytes(params.policyURI).length > 0) _policyURI[tokenId] = params.policyURI;
        emit ClassCreated(tokenId, params.metadataURI, integrityHash);
        _mintToken(tokenId, tokenId, to, params.value, params.shareRatio, params.expireAt);
    }

    /// @inheritdoc IDATCore
    /// @dev Always reverts: see {ClassIsDataset}.
    function createClass(string calldata, bytes32, uint8, string calldata)
        external
        pure
        override
        returns (uint256)
    {
        revert ClassIsDataset();
    }

    /// @inheritdoc IDATCore
    /// @dev Issues a licence; for the holder of the dataset's token, or its class operator.
    function mint(uint256 classId, address to, uint256 value, uint256 shareRatio, uint64 expireAt)
        external
        override
        returns (uint256 tokenId)
    {
        _checkClassHolder(classId);
        if (shareRatio != 0) revert SharesAreFixed(shareRatio);
        // Counted up from 1. Class ids are hashes, so the two kinds of id do not meet.
        tokenId = ++_licences;
        _licenceClass[tokenId] = classId;
        _mintToken(tokenId, classId, to, value, 0, expireAt);
    }

    // ---------------------------------------------------------------------------------- classes

    /// @inheritdoc IDATCore
    function updateClassMetadata(
        uint256 classId,
        string calldata metadataURI,
        bytes32 integrityHash
    ) external override {
        _checkClassHolder(classId);
        if (integrityHash != _integrityHash[classId]) {
            revert IntegrityHashIsFixed(_integrityHash[classId]);
        }
        _metadataURI[classId] = metadataURI;
        emit MetadataUpdated(classId, metadataURI, integrityHash);
    }

    /// @notice Says where the metadata of all datasets is that the caller holds and that have no
    /// address of their own: `base`, the id of the dataset's token in decimal, and ".json". One
    /// address for all of them costs a dataset no gas.
    function setMetadataBase(string calldata base) external {
        metadataBaseOf[msg.sender] = base;
        emit MetadataBaseSet(msg.sender, base);
    }

    /// @inheritdoc IDATCore
    function updateClassPolicy(uint256 classId, string calldata policyURI) external override {
        _checkClassHolder(classId);
        _policyURI[classId] = policyURI;
        emit ClassPolicyUpdated(classId, policyURI);
    }

    /// @inheritdoc IDATCore
    function approveForClass(uint256 classId, address operator, bool approved) external override {
        _classApprovals[msg.sender][classId][operator] = approved;
        emit ApprovalForClass(msg.sender, classId, operator, approved);
    }

    // ------------------------------------------------------------------------- ownership, licence

    /// @inheritdoc IDATCore
    /// @dev ERC-721's transfer, with ERC-721's rights and without its receiver callback.
    function transferToken(uint256 tokenId, address to) external override {
        transferFrom(ownerOf(tokenId), to, tokenId);
    }

    /// @inheritdoc IDATCore
    function transferValue(uint256 fromTokenId, uint256 toTokenId, uint256 value)
        external
        override
    {
        _checkActor(fromTokenId);
        _requireOwned(toTokenId);
        if (value == 0) revert ZeroAmount();
        uint256 classId = classOf(fromTokenId);
        if (classOf(toTokenId) != classId) revert ClassMismatch(classId, classOf(toTokenId));
        _checkNotExpired(fromTokenId);
        _checkNotExpired(toTokenId);
        uint64 fromExpiry = _tokens[fromTokenId].expireAt;
        uint64 toExpiry = _tokens[toTokenId].expireAt;
        if (fromExpiry != 0 && (toExpiry == 0 || toExpiry > fromExpiry)) {
            revert ExpiryExtended(fromExpiry, toExpiry);
        }
        _takeValue(fromTokenId, value);
        _tokens[toTokenId].value = _toValue(_tokens[toTokenId].value + value);
        emit ValueTransferred(fromTokenId, toTokenId, value);
    }

    /// @inheritdoc IDATCore
    /// @dev Hard quota: what is recorded is taken off the token's value.
    function recordUsage(uint256 tokenId, bytes32 metricType, uint256 amount) external override {
        _checkActor(tokenId);
        _checkNotExpired(tokenId);
        if (amount > 0) _takeValue(tokenId, amount);
        emit UsageRecorded(tokenId, metricType, amount, msg.sender);
    }

    /// @notice Takes note that a token has expired. Anyone may; nothing depends on it, since
    /// every rule looks at the clock itself. Emits `Expired` once for each token.
    function observeExpiry(uint256 tokenId) external {
        _requireOwned(tokenId);
        _observeExpiry(tokenId);
    }

    // ---------------------------------------------------------------------------------- revenue

    /// @inheritdoc IDATCore
    function settleRevenueETH(uint256 classId) external payable override nonReentrant {
        _settle(classId, address(0), msg.value);
    }

    /// @inheritdoc IDATCore
    /// @dev Credits what arrives. The guard keeps a token that calls back from being counted twice.
    function settleRevenueERC20(uint256 classId, address asset, uint256 amount)
        external
        override
        nonReentrant
    {
        if (asset == address(0)) revert NotAnERC20(asset);
        uint256 before = IERC20(asset).balanceOf(address(this));
        IERC20(asset).safeTransferFrom(msg.sender, address(this), amount);
        _settle(classId, asset, IERC20(asset).balanceOf(address(this)) - before);
    }

    /// @inheritdoc IDATCore
    /// @dev For the owner, to wherever he says, or for a class operator, to the owner. Returns 0
    /// without an event when nothing is pending.
    function claim(uint256 tokenId, address asset, address payable to)
        external
        override
        nonReentrant
        returns (uint256 amount)
    {
        address owner = _requireOwned(tokenId);
        bool toOwner = to == owner && _classApprovals[owner][classOf(tokenId)][msg.sender];
        if (msg.sender != owner && !toOwner) revert NotAuthorised(tokenId, msg.sender);
        if (to == address(0)) revert ZeroAddress();
        _observeExpiry(tokenId);
        amount = _pending(tokenId, asset);
        if (amount == 0) return 0;
        _claimed[tokenId][asset] += amount;
        emit Claimed(tokenId, to, asset, amount);
        if (asset == address(0)) {
            Address.sendValue(to, amount);
        } else {
            IERC20(asset).safeTransfer(to, amount);
        }
    }

    // ------------------------------------------------------------------------------------ views

    /// @inheritdoc IDATCore
    function getClassMeta(uint256 classId)
        external
        view
        override
        returns (string memory, bytes32, uint8, string memory)
    {
        _checkClass(classId);
        return (_classURI(classId), _integrityHash[classId], 0, _policyURI[classId]);
    }

    /// @inheritdoc IDATCore
    function valueOf(uint256 tokenId) external view override returns (uint256) {
        _requireOwned(tokenId);
        return _tokens[tokenId].value;
    }

    /// @inheritdoc IDATCore
    function shareRatioOf(uint256 tokenId) external view override returns (uint256) {
        _requireOwned(tokenId);
        return _tokens[tokenId].shareRatio;
    }

    /// @inheritdoc IDATCore
    function expireAtOf(uint256 tokenId) external view override returns (uint64) {
        _requireOwned(tokenId);
        return _tokens[tokenId].expireAt;
    }

    /// @inheritdoc IDATCore
    function pendingRevenue(uint256 tokenId, address asset)
        external
        view
        override
        returns (uint256)
    {
        _requireOwned(tokenId);
        return _pending(tokenId, asset);
    }

    /// @inheritdoc IDATCore
    function isApprovedForClass(address owner, uint256 classId, address operator)
        external
        view
        override
        returns (bool)
    {
        return _classApprovals[owner][classId][operator];
    }

    /// @inheritdoc IDATCore
    function classOf(uint256 tokenId) public view override returns (uint256) {
        _requireOwned(tokenId);
        uint256 classId = _licenceClass[tokenId];
        return classId == 0 ? tokenId : classId;
    }

    /// @inheritdoc ERC721
    function ownerOf(uint256 tokenId) public view override(ERC721, IDATCore) returns (address) {
        return super.ownerOf(tokenId);
    }

    /// @inheritdoc ERC721
    function balanceOf(address owner) public view override returns (uint256) {
        if (owner == address(0)) revert ERC721InvalidOwner(owner);
        return _balances[owner];
    }

    /// @inheritdoc ERC721
    function tokenURI(uint256 tokenId) public view override returns (string memory) {
        return _classURI(classOf(tokenId));
    }

    /// @inheritdoc ERC721
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == type(IDATCore).interfaceId || super.supportsInterface(interfaceId);
    }

    // --------------------------------------------------------------------------------- internals

    /// @dev Ownership is kept in {Token}, one slot with the other attributes; a mint then writes
    /// one slot less. The three overrides below keep ERC721's own bookkeeping out of use.
    function _ownerOf(uint256 tokenId) internal view override returns (address) {
        return _tokens[tokenId].owner;
    }

    /// @dev As in ERC721, on {Token}. Emits ERC-8028's event beside ERC-721's on a transfer.
    function _update(address to, uint256 tokenId, address auth)
        internal
        override
        returns (address from)
    {
        from = _ownerOf(tokenId);
        if (auth != address(0)) _checkAuthorized(from, auth, tokenId);
        if (from != address(0)) {
            _approve(address(0), tokenId, address(0), false);
            _observeExpiry(tokenId);
            --_balances[from];
        }
        ++_balances[to];
        _tokens[tokenId].owner = to;
        emit Transfer(from, to, tokenId);
        if (from != address(0)) emit TransferToken(tokenId, from, to);
    }

    function _mintToken(
        uint256 tokenId,
        uint256 classId,
        address to,
        uint256 value,
        uint256 shareRatio,
        uint64 expireAt
    ) private {
        // forge-lint: disable-next-line(block-timestamp)
        if (expireAt != 0 && expireAt < block.timestamp) revert ExpiryInPast(expireAt);
        if (expireAt > type(uint40).max) revert ValueTooLarge(expireAt);
        uint256 share = shareRatio > type(uint16).max ? type(uint16).max : shareRatio;
        _mint(to, tokenId);
        Token storage token = _tokens[tokenId];
        // forge-lint: disable-next-line(unsafe-typecast)
        token.expireAt = uint40(expireAt);
        token.value = _toValue(value);
        // forge-lint: disable-next-line(unsafe-typecast)
        token.shareRatio = uint16(share);
        emit Minted(tokenId, classId, to, value, share, expireAt);
    }

    function _settle(uint256 classId, address asset, uint256 amount) private {
        _checkClass(classId);
        if (amount == 0) revert ZeroAmount();
        uint256 totalShare = _totalShare(classId);
        if (totalShare == 0) revert NoActiveShare(classId);
        Revenue storage revenue = _revenue[classId][asset];
        uint256 scaled = amount * SCALE + revenue.remainder;
        uint256 acc = revenue.accPerShare + scaled / totalShare;
        if (acc > type(uint240).max) revert ValueTooLarge(amount);
        // forge-lint: disable-next-line(unsafe-typecast)
        revenue.accPerShare = uint240(acc);
        // Below the share weight, which is below 2^16.
        // forge-lint: disable-next-line(unsafe-typecast)
        revenue.remainder = uint16(scaled % totalShare);
        emit RevenueSettled(classId, asset, amount);
    }

    function _takeValue(uint256 tokenId, uint256 amount) private {
        uint256 value = _tokens[tokenId].value;
        if (amount > value) revert QuotaExceeded(tokenId, value, amount);
        // Not above the old value.
        // forge-lint: disable-next-line(unsafe-typecast)
        _tokens[tokenId].value = uint40(value - amount);
    }

    function _observeExpiry(uint256 tokenId) private {
        if (_isExpired(tokenId) && !_expirySeen[tokenId]) {
            _expirySeen[tokenId] = true;
            emit Expired(tokenId);
        }
    }

    function _pending(uint256 tokenId, address asset) private view returns (uint256) {
        uint256 share = _tokens[tokenId].shareRatio;
        if (share == 0) return 0;
        Revenue storage revenue = _revenue[classOf(tokenId)][asset];
        // Whoever has shares has all of the class, so what the division left is his as well: of
        // what was settled nothing is rounded away, not even for a while.
        uint256 scaled = share * revenue.accPerShare + revenue.remainder;
        return scaled / SCALE - _claimed[tokenId][asset];
    }

    /// @dev The dataset's token is the only one with shares, so its weight is the class's.
    function _totalShare(uint256 classId) private view returns (uint256) {
        return _isExpired(classId) ? 0 : _tokens[classId].shareRatio;
    }

    function _isExpired(uint256 tokenId) private view returns (bool) {
        uint256 expireAt = _tokens[tokenId].expireAt;
        // forge-lint: disable-next-line(block-timestamp)
        return expireAt != 0 && block.timestamp > expireAt;
    }

    function _checkNotExpired(uint256 tokenId) private view {
        if (_isExpired(tokenId)) revert TokenExpired(tokenId, _tokens[tokenId].expireAt);
    }

    /// @dev A class exists from the moment its dataset's token does; tokens are never burnt.
    function _checkClass(uint256 classId) private view {
        if (_tokens[classId].shareRatio == 0) revert UnknownClass(classId);
    }

    function _checkClassHolder(uint256 classId) private view {
        _checkClass(classId);
        _checkActor(classId);
    }

    function _checkActor(uint256 tokenId) private view {
        address owner = _requireOwned(tokenId);
        if (msg.sender != owner && !_classApprovals[owner][classOf(tokenId)][msg.sender]) {
            revert NotAuthorised(tokenId, msg.sender);
        }
    }

    function _toValue(uint256 value) private pure returns (uint40) {
        if (value > type(uint40).max) revert ValueTooLarge(value);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint40(value);
    }

    function _classURI(uint256 classId) private view returns (string memory) {
        string memory own = _metadataURI[classId];
        if (bytes(own).length > 0) return own;
        string memory base = metadataBaseOf[_ownerOf(classId)];
        if (bytes(base).length == 0) return "";
        return string.concat(base, Strings.toString(classId), ".json");
    }
}
