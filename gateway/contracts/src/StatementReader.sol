// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title StatementReader
/// @notice Reads statement v1 (200 bytes) and entry v1 (280 bytes), and checks that an entry is in
/// a dataset's tree (RFC 9162, SHA-256). All integers are big-endian. It parses nothing else: what
/// a contract may judge is in these bytes.
library StatementReader {
    uint256 internal constant STATEMENT_BYTES = 200;
    uint256 internal constant ENTRY_BYTES = 280;

    /// @dev ASCII, padded with NUL to 16 bytes.
    bytes16 internal constant STATEMENT_TAG = "waystone/stmt/1";
    bytes16 internal constant REALM_TAG = "waystone/relm/1";

    struct Statement {
        bytes32 realm;
        bytes32 device;
        bytes16 session;
        uint32 stream;
        uint16 format;
        uint8 timeBase;
        uint8 flags;
        uint64 firstSequence;
        uint32 count;
        uint64 minTime;
        uint64 maxTime;
        bytes32 framesRoot;
        bytes32 previous;
    }

    struct Entry {
        Statement statement;
        bytes signature;
        uint64 receiveTime;
        uint32 ingestFlags;
    }

    error WrongLength(uint256 length, uint256 expected);
    error WrongTag(bytes16 tag);
    /// @notice A reserved field is not zero: written by a later version.
    error ReservedNotZero();

    /// @notice Reads a statement. Layout, bytes: tag 0..16, realm ..48, device ..80, session ..96,
    /// stream ..100, format ..102, timeBase ..103, flags ..104, first sequence ..112, count ..116,
    /// reserved ..120, minTime ..128, maxTime ..136, frames root ..168, previous ..200.
    function readStatement(bytes calldata data) internal pure returns (Statement memory statement) {
        if (data.length != STATEMENT_BYTES) revert WrongLength(data.length, STATEMENT_BYTES);
        bytes16 tag = bytes16(data[0:16]);
        if (tag != STATEMENT_TAG) revert WrongTag(tag);
        if (bytes4(data[116:120]) != 0) revert ReservedNotZero();
        statement.realm = bytes32(data[16:48]);
        statement.device = bytes32(data[48:80]);
        statement.session = bytes16(data[80:96]);
        statement.stream = uint32(bytes4(data[96:100]));
        statement.format = uint16(bytes2(data[100:102]));
        statement.timeBase = uint8(data[102]);
        statement.flags = uint8(data[103]);
        statement.firstSequence = uint64(bytes8(data[104:112]));
        statement.count = uint32(bytes4(data[112:116]));
        statement.minTime = uint64(bytes8(data[120:128]));
        statement.maxTime = uint64(bytes8(data[128:136]));
        statement.framesRoot = bytes32(data[136:168]);
        statement.previous = bytes32(data[168:200]);
    }

    /// @notice Reads an entry. Layout, bytes: statement 0..200, signature ..264, receive time
    /// ..272, ingest flags ..276, reserved ..280.
    function readEntry(bytes calldata data) internal pure returns (Entry memory entry) {
        if (data.length != ENTRY_BYTES) revert WrongLength(data.length, ENTRY_BYTES);
        if (bytes4(data[276:280]) != 0) revert ReservedNotZero();
        entry.statement = readStatement(data[0:200]);
        entry.signature = data[200:264];
        entry.receiveTime = uint64(bytes8(data[264:272]));
        entry.ingestFlags = uint32(bytes4(data[272:276]));
    }

    /// @notice What a statement must carry to be meant for this chain and iDAO.
    function realmOf(uint256 chainId, address idao) internal pure returns (bytes32) {
        // Chain ids beyond 64 bits do not fit a realm; cutting them would let two chains share one.
        require(chainId <= type(uint64).max);
        // forge-lint: disable-next-line(unsafe-typecast)
        return sha256(abi.encodePacked(REALM_TAG, uint64(chainId), idao));
    }

    /// @notice SHA-256(0x00 ‖ leaf), RFC 9162 section 2.1.1.
    function leafHash(bytes calldata leaf) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), leaf));
    }

    /// @notice SHA-256(0x01 ‖ left ‖ right), RFC 9162 section 2.1.1.
    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// @notice Whether `leaf` is leaf `index` of the tree of `size` leaves under `root`, by
    /// RFC 9162 section 2.1.3.2. `index`, `size` and `root` must come from a stored record: the
    /// path of one position also "verifies" for others in trees of other sizes.
    function isIncluded(
        bytes32 leaf,
        uint256 index,
        uint256 size,
        bytes32[] calldata path,
        bytes32 root
    ) internal pure returns (bool) {
        if (index >= size) return false;
        uint256 fn = index;
        uint256 sn = size - 1;
        bytes32 hash = leaf;
        for (uint256 i = 0; i < path.length; ++i) {
            if (sn == 0) return false;
            if (fn & 1 == 1 || fn == sn) {
                hash = nodeHash(path[i], hash);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                hash = nodeHash(hash, path[i]);
            }
            fn >>= 1;
            sn >>= 1;
        }
        return sn == 0 && hash == root;
    }
}
