// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {INodeList, IScoreToken} from "./ILazai.sol";
import {LazaiAdmin} from "./LazaiAdmin.sol";

/// @title DataRegistry, for tests
/// @notice Behaves as LazAI's does, also where that is unwise: tests must meet what a gateway meets.
/// @dev Left out on purpose, as there: whether a proof is for this file or this chain, whether a
/// proven file exists, who adds proofs or asks for rewards, and a mark for a reward of zero.
contract DataRegistry is LazaiAdmin {
    struct ProofData {
        uint256 id;
        uint256 score;
        string fileUrl;
        string proofUrl;
    }

    struct Proof {
        bytes signature;
        ProofData data;
    }

    struct Permission {
        address account;
        string key;
    }

    struct FileResponse {
        uint256 id;
        address ownerAddress;
        string url;
        string hash;
        uint256 proofIndex;
        uint256 rewardAmount;
    }

    struct InitParams {
        address ownerAddress;
        address tokenAddress;
        address verifiedComputingAddress;
        string name;
        string publicKey;
    }

    struct File {
        address owner;
        string url;
        string hash;
        uint256 rewardedAt;
        uint256 proofIndex;
        uint256 proofsCount;
        uint256 rewardAmount;
        mapping(uint256 index => Proof) proofs;
        mapping(address account => string) keys;
    }

    string public name;
    string public publicKey;
    IScoreToken public token;
    INodeList public verifiedComputing;
    uint256 public filesCount;

    mapping(uint256 fileId => File) private _files;
    mapping(bytes32 urlHash => uint256 fileId) private _idOfUrl;

    event FileAdded(uint256 indexed fileId, address indexed ownerAddress, string url);
    event ProofAdded(
        uint256 indexed fileId, address indexed ownerAddress, uint256 proofIndex, string proofUrl
    );
    event PermissionGranted(uint256 indexed fileId, address indexed account);
    event RewardRequested(
        address indexed contributorAddress,
        uint256 indexed fileId,
        uint256 indexed proofIndex,
        uint256 rewardAmount
    );
    event PublicKeyUpdated(string newPublicKey);
    event TokenUpdated(address newToken);
    event VerifiedComputingUpdated(address newVerifiedComputing);

    error NotFileOwner();
    error FileUrlAlreadyUsed();
    error FileNotFound();
    error FileAlreadyRewarded();
    error NoPermission();
    error InvalidUrl();
    error InvalidAttestator(bytes32 messageHash, bytes signature, address signer);

    constructor(InitParams memory params) LazaiAdmin(params.ownerAddress) {
        name = params.name;
        publicKey = params.publicKey;
        token = IScoreToken(params.tokenAddress);
        verifiedComputing = INodeList(params.verifiedComputingAddress);
    }

    function addFile(string calldata url, string calldata hash)
        external
        whenNotPaused
        returns (uint256)
    {
        return _add(url, hash, msg.sender);
    }

    /// @notice Registers a file for any owner, without the owner's word.
    function addFileWithPermissions(
        string calldata url,
        string calldata hash,
        address ownerAddress,
        Permission[] calldata permissions
    ) external whenNotPaused returns (uint256 fileId) {
        fileId = _add(url, hash, ownerAddress);
        for (uint256 i = 0; i < permissions.length; i++) {
            _permit(fileId, permissions[i].account, permissions[i].key);
        }
    }

    function addPermissionForFile(uint256 fileId, address account, string calldata key)
        external
        whenNotPaused
    {
        if (msg.sender != _files[fileId].owner) revert NotFileOwner();
        _permit(fileId, account, key);
    }

    /// @notice Open to anyone, for any file id; indexes begin with 1.
    function addProof(uint256 fileId, Proof calldata proof) external whenNotPaused {
        File storage file = _files[fileId];
        uint256 index = ++file.proofsCount;
        file.proofs[index] = proof;
        emit ProofAdded(fileId, file.owner, index, proof.data.proofUrl);
    }

    /// @notice Mints the owner an amount equal to the score, if a listed node signed the proof.
    function requestReward(uint256 fileId, uint256 proofIndex) external whenNotPaused nonReentrant {
        File storage file = _files[fileId];
        if (file.rewardAmount != 0) revert FileAlreadyRewarded();
        Proof memory proof = file.proofs[proofIndex];
        bytes32 messageHash = keccak256(abi.encode(proof.data));
        address signer =
            ECDSA.recover(MessageHashUtils.toEthSignedMessageHash(messageHash), proof.signature);
        if (!verifiedComputing.isNode(signer)) {
            revert InvalidAttestator(messageHash, proof.signature, signer);
        }
        file.rewardedAt = block.timestamp;
        file.proofIndex = proofIndex;
        file.rewardAmount = proof.data.score;
        token.mint(file.owner, proof.data.score, file.url, true);
        emit RewardRequested(file.owner, fileId, proofIndex, proof.data.score);
    }

    function updateToken(address newToken) external onlyRole(DEFAULT_ADMIN_ROLE) {
        token = IScoreToken(newToken);
        emit TokenUpdated(newToken);
    }

    function updateVerifiedComputing(address newAddress) external onlyRole(DEFAULT_ADMIN_ROLE) {
        verifiedComputing = INodeList(newAddress);
        emit VerifiedComputingUpdated(newAddress);
    }

    function updatePublicKey(string calldata newPublicKey) external onlyRole(DEFAULT_ADMIN_ROLE) {
        publicKey = newPublicKey;
        emit PublicKeyUpdated(newPublicKey);
    }

    /// @notice Answers for every id, also for one that is not there.
    function getFile(uint256 fileId) external view returns (FileResponse memory) {
        File storage file = _files[fileId];
        return FileResponse({
            id: fileId,
            ownerAddress: file.owner,
            url: file.url,
            hash: file.hash,
            proofIndex: file.proofIndex,
            rewardAmount: file.rewardAmount
        });
    }

    function getFileIdByUrl(string calldata url) external view returns (uint256) {
        return _idOfUrl[keccak256(bytes(url))];
    }

    function getFileProof(uint256 fileId, uint256 index) external view returns (Proof memory) {
        return _files[fileId].proofs[index];
    }

    function getFilePermission(uint256 fileId, address account)
        external
        view
        returns (string memory)
    {
        return _files[fileId].keys[account];
    }

    function _add(string calldata url, string calldata hash, address owner)
        private
        returns (uint256 fileId)
    {
        bytes32 urlHash = keccak256(bytes(url));
        if (_idOfUrl[urlHash] != 0) revert FileUrlAlreadyUsed();
        fileId = ++filesCount;
        _idOfUrl[urlHash] = fileId;
        File storage file = _files[fileId];
        file.owner = owner;
        file.url = url;
        file.hash = hash;
        emit FileAdded(fileId, owner, url);
    }

    function _permit(uint256 fileId, address account, string calldata key) private {
        _files[fileId].keys[account] = key;
        emit PermissionGranted(fileId, account);
    }
}
