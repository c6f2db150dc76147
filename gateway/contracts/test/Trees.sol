// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev RFC 9162 trees by their recursive definition (2.1.1, 2.1.3.1), written apart from the code
/// that is tested.
library Trees {
    function leafOf(bytes memory data) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"00", data));
    }

    function nodeOf(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"01", left, right));
    }

    function leavesOf(bytes[] memory data) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](data.length);
        for (uint256 i = 0; i < data.length; ++i) {
            leaves[i] = leafOf(data[i]);
        }
    }

    function rootOf(bytes32[] memory leaves) internal pure returns (bytes32) {
        return head(leaves, 0, leaves.length);
    }

    function pathOf(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32[] memory)
    {
        return pathOf(index, leaves, 0, leaves.length);
    }

    function split(uint256 size) private pure returns (uint256 k) {
        k = 1;
        while (k * 2 < size) k *= 2;
    }

    function head(bytes32[] memory leaves, uint256 from, uint256 size)
        private
        pure
        returns (bytes32)
    {
        if (size == 1) return leaves[from];
        uint256 k = split(size);
        return nodeOf(head(leaves, from, k), head(leaves, from + k, size - k));
    }

    function pathOf(uint256 index, bytes32[] memory leaves, uint256 from, uint256 size)
        private
        pure
        returns (bytes32[] memory path)
    {
        if (size == 1) return new bytes32[](0);
        uint256 k = split(size);
        bool left = index < k;
        bytes32[] memory inner =
            left ? pathOf(index, leaves, from, k) : pathOf(index - k, leaves, from + k, size - k);
        path = new bytes32[](inner.length + 1);
        for (uint256 i = 0; i < inner.length; ++i) {
            path[i] = inner[i];
        }
        path[inner.length] = left ? head(leaves, from + k, size - k) : head(leaves, from, k);
    }
}
