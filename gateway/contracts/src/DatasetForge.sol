// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bonds} from "./Bonds.sol";
import {IDAT} from "./IDAT.sol";
import {IDeviceRegistry} from "./IDeviceRegistry.sol";
import {IIDAO} from "./IIDAO.sol";
import {LocalChains} from "./LocalChains.sol";

/// @title DatasetForge
/// @notice Commits sealed datasets and, after a window, turns each into one DAT of its iDAO.
///
/// A dataset is (iDAO, log, index): its key is `keccak256(abi.encode(idao, logId, index))`, so a
/// second commit or a second token is impossible, however often a gateway tries. Two words are
/// stored for each: the hash of the record and a status word; the record itself is in the event
/// and comes back as an argument where it is needed.
///
/// While the window is open, {Challenges} may show a fault. The dataset is then void: it never gets
/// a token, and its iDAO's bond loses a slice. What is a fault is judged there; this contract keeps
/// what follows from it.
contract DatasetForge is Bonds {
    /// @notice What is committed.
    /// @param gateway id of the gateway key that signed the dataset's checkpoint
    /// @param logId the gateway's log; `index` is the dataset's place in it
    /// @param root RFC 9162 tree head (SHA-256) over `count` entries
    /// @param manifestHash SHA-256 of the manifest
    /// @param minTime earliest capture time, microseconds UTC
    /// @param maxTime latest capture time, microseconds UTC
    /// @param url where the entries file is published; may be empty on a local chain
    struct Record {
        address idao;
        bytes32 gateway;
        bytes16 logId;
        uint64 index;
        bytes32 root;
        uint64 count;
        bytes32 manifestHash;
        uint64 minTime;
        uint64 maxTime;
        string url;
    }

    uint8 public constant STATUS_NONE = 0;
    uint8 public constant STATUS_COMMITTED = 1;
    uint8 public constant STATUS_FINALISED = 2;
    /// @notice A fault was upheld; there will be no token.
    uint8 public constant STATUS_VOID = 3;

    /// @notice Withheld entries of one dataset that may be asked for at a time.
    uint8 public constant HOLDS_MAX = 4;
    /// @notice How long a place stays free for others after all were taken. Without it an iDAO could
    /// hold all places itself, with entries that it can show, until the window is over.
    uint64 public constant FREE_PLACE_SECONDS = 1 days;
    /// @notice What a response to a withheld entry may take at least, on public chains.
    uint64 public constant RESPONSE_SECONDS_MIN = 7 days;
    /// @dev Withdrawal takes longer than window and response by this much, so that a fault shown in
    /// the last second can still be settled.
    uint64 private constant WITHDRAWAL_MARGIN = 1 days;

    /// @dev Status word: status in the lowest 8 bits, commit time (Unix seconds) in the next 64,
    /// entries that are asked for now in the next 8, a bit for each fault upheld in the next 32,
    /// the end of a window that was extended (Unix seconds) in the next 64.
    uint256 private constant COMMITTED_AT = 8;
    uint256 private constant HOLDS = 72;
    uint256 private constant FAULTS = 80;
    uint256 private constant EXTENDED_UNTIL = 112;
    uint256 private constant ONE_HOLD = uint256(1) << HOLDS;

    /// @notice What a deployment fixes for ever.
    /// @param windowSeconds from commit to finalise, while faults may be shown
    /// @param responseSeconds that anyone has to show an entry that is said to be withheld
    /// @param minimumBond without which an iDAO cannot commit
    /// @param slice that an upheld fault takes
    struct Terms {
        uint64 windowSeconds;
        uint64 responseSeconds;
        uint128 minimumBond;
        uint128 slice;
    }

    IDAT public immutable dat;
    IDeviceRegistry public immutable registry;
    /// @notice Seconds between commit and finalise. Zero exists on local chains only.
    uint64 public immutable windowSeconds;
    /// @notice Seconds for a response to a withheld entry; at least 7 days on public chains.
    uint64 public immutable responseSeconds;
    /// @notice The only account that may uphold faults.
    address public immutable challenges;

    mapping(bytes32 key => bytes32) private _recordHash;
    mapping(bytes32 key => uint256) private _statusWord;
    /// @dev What limited operators committed last: day since 1970 (UTC), then the datasets of that
    /// day in the lowest 32 bits.
    mapping(address idao => mapping(address operator => uint256 word)) private _committedOn;

    event DatasetCommitted(
        bytes32 indexed key, address indexed idao, bytes32 indexed root, Record record
    );
    event DatasetFinalised(bytes32 indexed key, uint256 indexed tokenId);
    /// @notice A fault was upheld; see {Challenges} for the numbers.
    event FaultUpheld(
        bytes32 indexed key, address indexed idao, uint8 indexed fault, address challenger
    );
    /// @notice The caller is neither owner nor operator of the iDAO.
    error NotAuthorised(address idao, address caller);
    /// @notice The iDAO lets the operator commit `datasetsPerDay` a day; there is room again at
    /// `resetsAt` (Unix seconds).
    error DailyLimit(address idao, address operator, uint256 datasetsPerDay, uint256 resetsAt);
    /// @notice The gateway key is not registered to the iDAO.
    error GatewayNotRegistered(bytes32 gateway, address idao);
    /// @notice The dataset is there; `recordHash` says what was committed.
    error AlreadyCommitted(bytes32 key, bytes32 recordHash);
    error AlreadyFinalised(bytes32 key, uint256 tokenId);
    error NotCommitted(bytes32 key);
    /// @notice The record given is not the one that was committed.
    error RecordDiffers(bytes32 key, bytes32 committed, bytes32 given);
    /// @notice `maxTime` is later than the block; both in microseconds.
    error TimeInFuture(uint64 maxTime, uint256 blockTime);
    /// @notice The dataset cannot be finalised before `until` (Unix seconds).
    error WindowOpen(bytes32 key, uint256 until);
    /// @notice No entries, no root, or a time range that ends before it starts.
    error MalformedRecord();
    /// @notice A window of zero seconds is for local chains.
    error WindowTooShort(uint256 chainId);
    /// @notice The DAT takes datasets from another forge.
    error WrongDat(address dat);
    error LengthsDiffer(uint256 records, uint256 params);
    /// @notice Seven days is the least on public chains.
    error ResponseTooShort(uint64 responseSeconds);
    /// @notice A fault of the dataset was upheld.
    error DatasetVoid(bytes32 key);
    /// @notice Entries are asked for; the dataset waits until they are shown.
    error EntriesAskedFor(bytes32 key, uint256 count);
    /// @notice Only {Challenges} may do that.
    error OnlyChallenges(address caller);
    /// @notice This fault of this dataset was upheld before; it is not paid twice.
    error AlreadyUpheld(bytes32 key, uint8 fault);
    /// @notice As many entries are asked for as may be at a time.
    error TooManyAskedFor(bytes32 key);
    /// @notice The address of {Challenges} is missing.
    error ZeroAddress();

    /// @param challenges_ the Challenges contract; its address is known before it is deployed
    constructor(IDAT dat_, IDeviceRegistry registry_, address challenges_, Terms memory terms)
        Bonds(
            terms.minimumBond,
            terms.slice,
            terms.windowSeconds + terms.responseSeconds + WITHDRAWAL_MARGIN
        )
    {
        if (!LocalChains.isLocal(block.chainid)) {
            if (terms.windowSeconds == 0) revert WindowTooShort(block.chainid);
            if (terms.responseSeconds < RESPONSE_SECONDS_MIN) {
                revert ResponseTooShort(terms.responseSeconds);
            }
        }
        if (dat_.forge() != address(this)) revert WrongDat(address(dat_));
        if (challenges_ == address(0)) revert ZeroAddress();
        dat = dat_;
        registry = registry_;
        challenges = challenges_;
        windowSeconds = terms.windowSeconds;
        responseSeconds = terms.responseSeconds;
    }

    modifier onlyChallenges() {
        _checkChallenges();
        _;
    }

    /// @notice Commits one dataset. Reverts when its key is taken.
    /// @return key the dataset's key
    function commit(Record calldata record) external returns (bytes32 key) {
        _count(record.idao, _checkCommitter(record), 1);
        key = keyOf(record.idao, record.logId, record.index);
        if (_recordHash[key] != 0) revert AlreadyCommitted(key, _recordHash[key]);
        bytes memory encoded = abi.encode(record);
        _commit(key, record, encoded, keccak256(encoded));
    }

    /// @notice Commits many datasets. One that is committed already with the same record is passed
    /// over, so that the others need not wait for a new bundle; with another record it reverts.
    function commitMany(Record[] calldata records) external {
        address authorised = address(0);
        bytes32 gateway = 0;
        uint256 limit = 0;
        uint256 committed = 0;
        for (uint256 i = 0; i < records.length; ++i) {
            Record calldata record = records[i];
            // Asked once for a run of one iDAO and gateway. Never passed over for the first record:
            // the zero address has no code, so asking it reverts.
            if (i == 0 || record.idao != authorised || record.gateway != gateway) {
                _count(authorised, limit, committed);
                limit = _checkCommitter(record);
                (authorised, gateway, committed) = (record.idao, record.gateway, 0);
            }
            bytes32 key = keyOf(record.idao, record.logId, record.index);
            bytes memory encoded = abi.encode(record);
            bytes32 hash = keccak256(encoded);
            bytes32 known = _recordHash[key];
            if (known == 0) {
                _commit(key, record, encoded, hash);
                ++committed;
            } else if (known != hash) {
                revert AlreadyCommitted(key, known);
            }
        }
        _count(authorised, limit, committed);
    }

    /// @notice Makes a committed dataset a class and mints its token to the iDAO, once.
    /// @return tokenId the dataset's token: its key as a number
    function finalise(Record calldata record, IDAT.DatParams calldata params)
        external
        returns (uint256 tokenId)
    {
        _checkAuthorised(record.idao);
        (bytes32 key, uint256 word) = _committed(record);
        if (_status(word) == STATUS_FINALISED) revert AlreadyFinalised(key, uint256(key));
        return _finalise(key, word, record, params);
    }

    /// @notice Finalises many datasets; those that are finalised already are passed over.
    function finaliseMany(Record[] calldata records, IDAT.DatParams[] calldata params) external {
        if (records.length != params.length) revert LengthsDiffer(records.length, params.length);
        address authorised = address(0);
        for (uint256 i = 0; i < records.length; ++i) {
            Record calldata record = records[i];
            if (record.idao != authorised || i == 0) _checkAuthorised(record.idao);
            authorised = record.idao;
            (bytes32 key, uint256 word) = _committed(record);
            if (_status(word) != STATUS_FINALISED) _finalise(key, word, record, params[i]);
        }
    }

    // ------------------------------------------------------------------------------- challenges

    /// @notice Makes a dataset void and takes a slice, once for each fault of it. {Challenges} has
    /// checked that `idao` is the dataset's and that it may still be challenged.
    function uphold(bytes32 key, address idao, uint8 fault, address challenger)
        external
        onlyChallenges
    {
        uint256 word = _statusWord[key];
        if (word == 0) revert NotCommitted(key);
        if (_status(word) == STATUS_FINALISED) revert AlreadyFinalised(key, uint256(key));
        uint256 bit = _faultBit(fault) << FAULTS;
        if (word & bit != 0) revert AlreadyUpheld(key, fault);
        _statusWord[key] = (word & ~uint256(0xff)) | bit | STATUS_VOID;
        emit FaultUpheld(key, idao, fault, challenger);
        _takeSlice(idao, challenger);
    }

    /// @notice Keeps a dataset from being finalised while an entry of it is asked for.
    function hold(bytes32 key) external onlyChallenges {
        uint256 word = _statusWord[key];
        if (_holds(word) == HOLDS_MAX) revert TooManyAskedFor(key);
        _statusWord[key] = word + ONE_HOLD;
    }

    /// @notice Ends one {hold}. Where all places were taken, the window is open for another
    /// {FREE_PLACE_SECONDS} from now.
    function release(bytes32 key) external onlyChallenges {
        uint256 word = _statusWord[key];
        if (_holds(word) == HOLDS_MAX) {
            uint256 until = block.timestamp + FREE_PLACE_SECONDS;
            word =
                (word & ~(uint256(type(uint64).max) << EXTENDED_UNTIL)) | (until << EXTENDED_UNTIL);
        }
        _statusWord[key] = word - ONE_HOLD;
    }

    /// @notice Until when a dataset may be challenged, and from when it may be finalised (Unix
    /// seconds).
    function openUntil(bytes32 key) external view returns (uint256) {
        return _openUntil(_statusWord[key]);
    }

    /// @notice Entries of a dataset that are asked for now.
    function holdsOf(bytes32 key) external view returns (uint8) {
        return _holds(_statusWord[key]);
    }

    /// @notice Whether a fault of a dataset was upheld.
    function isUpheld(bytes32 key, uint8 fault) external view returns (bool) {
        return (_statusWord[key] >> FAULTS) & _faultBit(fault) != 0;
    }

    // ------------------------------------------------------------------------------------ views

    /// @notice What is known of a dataset.
    /// @return status one of the STATUS constants
    /// @return committedAt Unix seconds of the commit's block
    /// @return tokenId its token; 0 until it is finalised
    /// @return recordHash hash of the record, see {hashOf}
    function statusOf(bytes32 key)
        external
        view
        returns (uint8 status, uint64 committedAt, uint256 tokenId, bytes32 recordHash)
    {
        uint256 word = _statusWord[key];
        status = _status(word);
        committedAt = _committedAt(word);
        tokenId = status == STATUS_FINALISED ? uint256(key) : 0;
        recordHash = _recordHash[key];
    }

    /// @notice The key of a dataset.
    function keyOf(address idao, bytes16 logId, uint64 index) public pure returns (bytes32) {
        return keccak256(abi.encode(idao, logId, index));
    }

    /// @notice The hash that stands for a record: keccak256 of its ABI encoding as one tuple.
    function hashOf(Record calldata record) public pure returns (bytes32) {
        return keccak256(abi.encode(record));
    }

    /// @dev `encoded` is what {hashOf} hashes, and also the data of the event: encoding it once saves
    /// a commit some thousand gas.
    function _commit(bytes32 key, Record calldata record, bytes memory encoded, bytes32 hash)
        private
    {
        if (record.count == 0 || record.root == 0 || record.minTime > record.maxTime) {
            revert MalformedRecord();
        }
        // forge-lint: disable-next-line(block-timestamp)
        if (record.maxTime > block.timestamp * 1e6) {
            revert TimeInFuture(record.maxTime, block.timestamp * 1e6);
        }
        _recordHash[key] = hash;
        _statusWord[key] = STATUS_COMMITTED | (block.timestamp << COMMITTED_AT);
        bytes32 topic = DatasetCommitted.selector;
        (address idao, bytes32 root) = (record.idao, record.root);
        // emit DatasetCommitted(key, idao, root, record);
        assembly ("memory-safe") {
            log4(add(encoded, 0x20), mload(encoded), topic, key, idao, root)
        }
    }

    function _finalise(
        bytes32 key,
        uint256 word,
        Record calldata record,
        IDAT.DatParams calldata params
    ) private returns (uint256) {
        if (_status(word) == STATUS_VOID) revert DatasetVoid(key);
        if (_holds(word) != 0) revert EntriesAskedFor(key, _holds(word));
        uint256 until = _openUntil(word);
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < until) revert WindowOpen(key, until);
        _statusWord[key] = (word & ~uint256(0xff)) | STATUS_FINALISED;
        emit DatasetFinalised(key, uint256(key));
        return dat.forgeDataset(key, record.idao, record.manifestHash, params);
    }

    /// @dev A fault's number is at most 31; a greater one would have no bit.
    function _faultBit(uint8 fault) private pure returns (uint256) {
        assert(fault < 32);
        return uint256(1) << fault;
    }

    function _checkChallenges() private view {
        if (msg.sender != challenges) revert OnlyChallenges(msg.sender);
    }

    /// @dev Rights, gateway key and bond: asked once for a run of one iDAO and gateway.
    /// @return limit datasets that the caller may commit for the iDAO today; 0: any number
    function _checkCommitter(Record calldata record) private view returns (uint256 limit) {
        bool allowed;
        (allowed, limit) = IIDAO(record.idao).forgeRight(msg.sender);
        if (!allowed) revert NotAuthorised(record.idao, msg.sender);
        _checkGateway(record);
        _checkBond(record.idao);
    }

    /// @dev Counts what a limited operator commits. Without a limit nothing is written.
    function _count(address idao, uint256 limit, uint256 committed) private {
        if (limit == 0 || committed == 0) return;
        uint256 today = block.timestamp / 1 days;
        uint256 word = _committedOn[idao][msg.sender];
        // The lowest 32 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint256 count = (word >> 32 == today ? uint32(word) : 0) + committed;
        if (count > limit) revert DailyLimit(idao, msg.sender, limit, (today + 1) * 1 days);
        _committedOn[idao][msg.sender] = (today << 32) | count;
    }

    function _checkAuthorised(address idao) private view {
        if (!IIDAO(idao).canForge(msg.sender)) revert NotAuthorised(idao, msg.sender);
    }

    function _checkGateway(Record calldata record) private view {
        if (!registry.isGatewayOf(record.gateway, record.idao)) {
            revert GatewayNotRegistered(record.gateway, record.idao);
        }
    }

    /// @dev Reverts unless exactly this record was committed.
    function _committed(Record calldata record) private view returns (bytes32 key, uint256 word) {
        key = keyOf(record.idao, record.logId, record.index);
        word = _statusWord[key];
        if (word == 0) revert NotCommitted(key);
        bytes32 hash = hashOf(record);
        if (_recordHash[key] != hash) revert RecordDiffers(key, _recordHash[key], hash);
    }

    function _status(uint256 word) private pure returns (uint8) {
        // The lowest 8 bits are the status.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint8(word);
    }

    function _openUntil(uint256 word) private view returns (uint256) {
        uint256 until = uint256(_committedAt(word)) + windowSeconds;
        // The 64 bits above the faults.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint256 extended = uint64(word >> EXTENDED_UNTIL);
        return extended > until ? extended : until;
    }

    function _holds(uint256 word) private pure returns (uint8) {
        // The 8 bits above the time are the entries asked for.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint8(word >> HOLDS);
    }

    function _committedAt(uint256 word) private pure returns (uint64) {
        // The 64 bits above the status are the time.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(word >> COMMITTED_AT);
    }
}
