// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title GatewayReader
/// @notice Reads what a gateway signs, or puts into a tree whose head it signs: checkpoint, head of
/// a receipt tree, receipt of kind `stored`. All integers are big-endian. Bytes of another length,
/// tag or version revert; so does a field that version 1 leaves zero, since a later version may give
/// it a meaning.
library GatewayReader {
    uint256 internal constant CHECKPOINT_BYTES = 112;
    uint256 internal constant RECEIPT_HEAD_BYTES = 104;
    uint256 internal constant RECEIPT_BODY_BYTES = 184;

    /// @dev ASCII, padded with NUL to 16 bytes.
    bytes16 private constant CHECKPOINT_TAG = "waystone/ckpt/1";
    bytes16 private constant RECEIPT_TAG = "waystone/rcpt/1";
    /// @dev Kind `stored`, and zeros where it has neither code nor a time to come again.
    bytes8 private constant STORED = 0x0100000000000000;

    /// @notice Head of a log, or of a tree of receipts.
    struct Head {
        bytes32 gateway;
        bytes16 logId;
        uint64 size;
        bytes32 root;
    }

    /// @notice The format has another length.
    error WrongLength(uint256 length, uint256 expected);
    /// @notice Something else was signed, or another version of it.
    error WrongTag(bytes16 tag);
    /// @notice There are no empty trees.
    error EmptyTree();
    /// @notice The receipt is of another kind than `stored`, or has a field that this kind lacks.
    error NotStored();

    /// @notice Reads a checkpoint. Layout, bytes: tag 0..16, gateway ..48, logId ..64, size ..72,
    /// root ..104, time ..112.
    function readCheckpoint(bytes calldata data) internal pure returns (Head memory) {
        if (data.length != CHECKPOINT_BYTES) revert WrongLength(data.length, CHECKPOINT_BYTES);
        return _readHead(data, CHECKPOINT_TAG);
    }

    /// @notice Reads the head of a receipt tree. Layout, bytes: tag 0..16, gateway ..48, logId ..64,
    /// size ..72, root ..104.
    function readReceiptHead(bytes calldata data) internal pure returns (Head memory) {
        if (data.length != RECEIPT_HEAD_BYTES) revert WrongLength(data.length, RECEIPT_HEAD_BYTES);
        return _readHead(data, RECEIPT_TAG);
    }

    /// @notice Reads a receipt `stored`. Layout, bytes: kind 0, reserved 1, code ..4, retry ..8,
    /// device ..40, statement ..72, entry leaf ..104, and what other kinds have ..184.
    function readStored(bytes calldata data)
        internal
        pure
        returns (bytes32 statement, bytes32 entryLeaf)
    {
        if (data.length != RECEIPT_BODY_BYTES) {
            revert WrongLength(data.length, RECEIPT_BODY_BYTES);
        }
        bool bare = bytes8(data[0:8]) == STORED && bytes32(data[104:136]) == 0
            && bytes32(data[136:168]) == 0 && bytes16(data[168:184]) == 0;
        if (!bare) revert NotStored();
        return (bytes32(data[40:72]), bytes32(data[72:104]));
    }

    function _readHead(bytes calldata data, bytes16 expected)
        private
        pure
        returns (Head memory head)
    {
        bytes16 tag = bytes16(data[0:16]);
        if (tag != expected) revert WrongTag(tag);
        head.gateway = bytes32(data[16:48]);
        head.logId = bytes16(data[48:64]);
        head.size = uint64(bytes8(data[64:72]));
        head.root = bytes32(data[72:104]);
        if (head.size == 0) revert EmptyTree();
    }
}
