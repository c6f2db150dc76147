import { Interface } from 'ethers';

/**
 * The part of LazAI's deployed ABI that forging uses, word for word, and all errors that its contracts revert with.
 * A selector is a hash of these lines: a changed word is another function.
 */

const PROOF_DATA = '(uint256 id, uint256 score, string fileUrl, string proofUrl) data';

export const DATA_REGISTRY = new Interface([
  'function addFileWithPermissions(string url, string hash, address ownerAddress, (address account, string key)[] permissions) returns (uint256)',
  `function addProof(uint256 fileId, (bytes signature, ${PROOF_DATA}) proof)`,
  'function requestReward(uint256 fileId, uint256 proofIndex)',
  'function getFile(uint256 fileId) view returns ((uint256 id, address ownerAddress, string url, string hash, uint256 proofIndex, uint256 rewardAmount))',
  'function getFileIdByUrl(string url) view returns (uint256)',
  `function getFileProof(uint256 fileId, uint256 index) view returns ((bytes signature, ${PROOF_DATA}))`,
  'function getFilePermission(uint256 fileId, address account) view returns (string)',
  'function filesCount() view returns (uint256)',
  'function publicKey() view returns (string)',
  'function token() view returns (address)',
  'function verifiedComputing() view returns (address)',
  'function paused() view returns (bool)',
  'event FileAdded(uint256 indexed fileId, address indexed ownerAddress, string url)',
  'event ProofAdded(uint256 indexed fileId, address indexed ownerAddress, uint256 proofIndex, string proofUrl)',
  'event PermissionGranted(uint256 indexed fileId, address indexed account)',
  'event RewardRequested(address indexed contributorAddress, uint256 indexed fileId, uint256 indexed proofIndex, uint256 rewardAmount)',
]);

export const VERIFIED_COMPUTING = new Interface([
  'function requestProof(uint256 fileId) payable',
  'function completeJob(uint256 jobId)',
  'function claim()',
  'function isNode(address nodeAddress) view returns (bool)',
  'function getNode(address nodeAddress) view returns ((address nodeAddress, string url, uint8 status, uint256 amount, uint256 jobsCount, string publicKey))',
  'function getJob(uint256 jobId) view returns ((uint256 fileId, uint256 bidAmount, uint8 status, uint256 addedTimestamp, address ownerAddress, address nodeAddress))',
  'function fileJobIds(uint256 fileId) view returns (uint256[])',
  'function nodeFee() view returns (uint256)',
  'function activeNodesCount() view returns (uint256)',
  'function paused() view returns (bool)',
  'event JobSubmitted(uint256 indexed jobId, uint256 indexed fileId, address nodeAddress, uint256 bidAmount)',
  'event JobComplete(address indexed attestator, uint256 indexed jobId, uint256 indexed fileId)',
  'event JobCanceled(uint256 indexed jobId)',
  'event Claimed(address indexed nodeAddress, uint256 amount)',
]);

/** Both generations: `fileUrl` since July 2025, `uri` before. */
export const DATA_ANCHORING_TOKEN = new Interface([
  'function fileUrl(uint256 tokenId) view returns (string)',
  'function uri(uint256 tokenId) view returns (string)',
  'function verified(uint256 tokenId) view returns (bool)',
  'function currentTokenId() view returns (uint256)',
  'function balanceOf(address account, uint256 id) view returns (uint256)',
  'function MINTER_ROLE() view returns (bytes32)',
  'function hasRole(bytes32 role, address account) view returns (bool)',
  'function supportsInterface(bytes4 interfaceId) view returns (bool)',
  'event TokenMinted(address indexed to, uint256 indexed tokenId, string fileUrl)',
]);

/** What any of the three may revert with; a call may fail in a contract behind the one called. */
export const LAZAI_ERRORS = new Interface([
  'error NotFileOwner()',
  'error FileUrlAlreadyUsed()',
  'error FileNotFound()',
  'error FileAlreadyRewarded()',
  'error NoPermission()',
  'error InvalidUrl()',
  'error InvalidAttestator(bytes32 messageHash, bytes signature, address signer)',
  'error NodeAlreadyAdded()',
  'error NodeNotActive()',
  'error InvalidJobStatus()',
  'error InvalidJobNode()',
  'error NothingToClaim()',
  'error InsufficientFee()',
  'error NoActiveNode()',
  'error NotJobOwner()',
  'error TransferFailed()',
  'error EnforcedPause()',
  'error ECDSAInvalidSignature()',
  'error ECDSAInvalidSignatureLength(uint256 length)',
  'error ECDSAInvalidSignatureS(bytes32 s)',
  'error ERC1155InvalidReceiver(address receiver)',
  'error AccessControlUnauthorizedAccount(address account, bytes32 neededRole)',
]);

/** `NodeInfo.status`. */
export const NODE_STATUS = { none: 0, active: 1, removed: 2 } as const;

/** `Job.status`. */
export const JOB_STATUS = { none: 0, submitted: 1, completed: 2, canceled: 3 } as const;
