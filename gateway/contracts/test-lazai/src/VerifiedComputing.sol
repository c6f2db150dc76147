// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {INodeList} from "./ILazai.sol";
import {LazaiAdmin} from "./LazaiAdmin.sol";

/// @title VerifiedComputing, for tests
/// @notice A list of nodes kept by an admin, and paid jobs handed to them in turn.
/// @dev Left out on purpose, as at LazAI: whether the file of a job exists, any end of a job that no
/// node takes up, any refund, and a proof as a condition for being paid.
contract VerifiedComputing is LazaiAdmin, INodeList {
    using EnumerableSet for EnumerableSet.AddressSet;
    using EnumerableSet for EnumerableSet.UintSet;

    enum NodeStatus {
        None,
        Active,
        Removed
    }

    enum JobStatus {
        None,
        Submitted,
        Completed,
        Canceled
    }

    struct Job {
        uint256 fileId;
        uint256 bidAmount;
        JobStatus status;
        uint256 addedTimestamp;
        address ownerAddress;
        address nodeAddress;
    }

    struct NodeInfo {
        address nodeAddress;
        string url;
        NodeStatus status;
        uint256 amount;
        uint256 jobsCount;
        string publicKey;
    }

    struct Node {
        NodeStatus status;
        string url;
        string publicKey;
        uint256 earned;
        uint256 claimed;
        EnumerableSet.UintSet openJobs;
    }

    uint256 public nodeFee;
    uint256 public jobsCount;

    EnumerableSet.AddressSet private _known;
    EnumerableSet.AddressSet private _active;
    mapping(address node => Node) private _nodes;
    mapping(uint256 jobId => Job) private _jobs;
    mapping(uint256 fileId => EnumerableSet.UintSet) private _jobsOfFile;

    event NodeAdded(address indexed nodeAddress);
    event NodeRemoved(address indexed nodeAddress);
    event JobSubmitted(
        uint256 indexed jobId, uint256 indexed fileId, address nodeAddress, uint256 bidAmount
    );
    event JobCanceled(uint256 indexed jobId);
    event JobComplete(address indexed attestator, uint256 indexed jobId, uint256 indexed fileId);
    event Claimed(address indexed nodeAddress, uint256 amount);

    error NodeAlreadyAdded();
    error NodeNotActive();
    error InvalidJobStatus();
    error InvalidJobNode();
    error NothingToClaim();
    error InsufficientFee();
    error NoActiveNode();
    error NotJobOwner();
    error TransferFailed();

    constructor(address admin) LazaiAdmin(admin) {}

    function addNode(address nodeAddress, string calldata url, string calldata publicKey)
        external
        onlyRole(MAINTAINER_ROLE)
    {
        if (!_active.add(nodeAddress)) revert NodeAlreadyAdded();
        _known.add(nodeAddress);
        Node storage node = _nodes[nodeAddress];
        node.status = NodeStatus.Active;
        node.url = url;
        node.publicKey = publicKey;
        emit NodeAdded(nodeAddress);
    }

    function removeNode(address nodeAddress) external onlyRole(MAINTAINER_ROLE) {
        if (!_active.remove(nodeAddress)) revert NodeNotActive();
        _nodes[nodeAddress].status = NodeStatus.Removed;
        emit NodeRemoved(nodeAddress);
    }

    function updateNodeFee(uint256 newNodeFee) external onlyRole(MAINTAINER_ROLE) {
        nodeFee = newNodeFee;
    }

    function requestProof(uint256 fileId) external payable whenNotPaused {
        _request(fileId);
    }

    function submitJob(uint256 fileId) external payable whenNotPaused {
        _request(fileId);
    }

    /// @notice The assigned node earns what was paid, proof or not.
    function completeJob(uint256 jobId) external whenNotPaused {
        Node storage node = _nodes[msg.sender];
        if (node.status != NodeStatus.Active) revert NodeNotActive();
        Job storage job = _jobs[jobId];
        if (job.status != JobStatus.Submitted) revert InvalidJobStatus();
        if (job.nodeAddress != msg.sender) revert InvalidJobNode();
        job.status = JobStatus.Completed;
        node.earned += job.bidAmount;
        node.openJobs.remove(jobId);
        emit JobComplete(msg.sender, jobId, job.fileId);
    }

    /// @notice Reverts when there is nothing, as there is after a job without a fee.
    function claim() external whenNotPaused nonReentrant {
        Node storage node = _nodes[msg.sender];
        uint256 amount = node.earned - node.claimed;
        if (amount == 0) revert NothingToClaim();
        node.claimed = node.earned;
        (bool success,) = payable(msg.sender).call{value: amount}("");
        if (!success) revert TransferFailed();
        emit Claimed(msg.sender, amount);
    }

    function isNode(address nodeAddress) external view override returns (bool) {
        return _nodes[nodeAddress].status == NodeStatus.Active;
    }

    function getJob(uint256 jobId) external view returns (Job memory) {
        return _jobs[jobId];
    }

    function fileJobIds(uint256 fileId) external view returns (uint256[] memory) {
        return _jobsOfFile[fileId].values();
    }

    function nodesCount() external view returns (uint256) {
        return _known.length();
    }

    function nodeList() external view returns (address[] memory) {
        return _known.values();
    }

    function nodeListAt(uint256 index) external view returns (NodeInfo memory) {
        return getNode(_known.at(index));
    }

    function activeNodesCount() external view returns (uint256) {
        return _active.length();
    }

    function activeNodeList() external view returns (address[] memory) {
        return _active.values();
    }

    function activeNodeListAt(uint256 index) external view returns (NodeInfo memory) {
        return getNode(_active.at(index));
    }

    function getNode(address nodeAddress) public view returns (NodeInfo memory) {
        Node storage node = _nodes[nodeAddress];
        return NodeInfo({
            nodeAddress: nodeAddress,
            url: node.url,
            status: node.status,
            amount: node.earned,
            jobsCount: node.openJobs.length(),
            publicKey: node.publicKey
        });
    }

    /// @dev In turn by the number of all jobs so far: whoever sends one job more shifts the turn.
    function _request(uint256 fileId) private {
        if (msg.value < nodeFee) revert InsufficientFee();
        uint256 active = _active.length();
        if (active == 0) revert NoActiveNode();
        uint256 jobId = ++jobsCount;
        address node = _active.at(jobId % active);
        _jobs[jobId] = Job({
            fileId: fileId,
            bidAmount: msg.value,
            status: JobStatus.Submitted,
            addedTimestamp: block.timestamp,
            ownerAddress: msg.sender,
            nodeAddress: node
        });
        _jobsOfFile[fileId].add(jobId);
        _nodes[node].openJobs.add(jobId);
        emit JobSubmitted(jobId, fileId, node, msg.value);
    }
}
