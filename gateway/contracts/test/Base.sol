// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The cheat codes that these tests use.
interface Vm {
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 time) external;
    function chainId(uint256 id) external;
    function deal(address who, uint256 balance) external;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function addr(uint256 key) external pure returns (address);

    /// @dev What {createWallet} gives.
    struct Wallet {
        address addr;
        uint256 publicKeyX;
        uint256 publicKeyY;
        uint256 privateKey;
    }

    function createWallet(uint256 privateKey) external returns (Wallet memory wallet);
    function signP256(uint256 privateKey, bytes32 digest)
        external
        pure
        returns (bytes32 r, bytes32 s);
    function publicKeyP256(uint256 privateKey) external pure returns (uint256 x, uint256 y);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function assume(bool condition) external pure;
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonBytes(string calldata json, string calldata key)
        external
        pure
        returns (bytes memory);
    function parseJsonBytes32(string calldata json, string calldata key)
        external
        pure
        returns (bytes32);
    function parseJsonBytes32Array(string calldata json, string calldata key)
        external
        pure
        returns (bytes32[] memory);
    function parseJsonUint(string calldata json, string calldata key)
        external
        pure
        returns (uint256);
    function parseJsonString(string calldata json, string calldata key)
        external
        pure
        returns (string memory);
    function parseJsonStringArray(string calldata json, string calldata key)
        external
        pure
        returns (string[] memory);
    function parseJsonAddress(string calldata json, string calldata key)
        external
        pure
        returns (address);
    function parseBytes(string calldata hexText) external pure returns (bytes memory);
    function parseBytes32(string calldata hexText) external pure returns (bytes32);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function toString(uint256 value) external pure returns (string memory);
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
}

/// @dev Assertions and the cheat codes' address, in place of a test library.
abstract contract Base {
    Vm internal constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    error Differs(string what, bytes32 got, bytes32 expected);
    error False(string what);

    function eq(uint256 got, uint256 expected, string memory what) internal pure {
        if (got != expected) revert Differs(what, bytes32(got), bytes32(expected));
    }

    function eq(bytes32 got, bytes32 expected, string memory what) internal pure {
        if (got != expected) revert Differs(what, got, expected);
    }

    function eq(address got, address expected, string memory what) internal pure {
        eq(uint256(uint160(got)), uint256(uint160(expected)), what);
    }

    function eq(bool got, bool expected, string memory what) internal pure {
        if (got != expected) revert False(what);
    }

    function eq(string memory got, string memory expected, string memory what) internal pure {
        eq(keccak256(bytes(got)), keccak256(bytes(expected)), what);
    }

    function eq(bytes memory got, bytes memory expected, string memory what) internal pure {
        eq(keccak256(got), keccak256(expected), what);
    }

    function ok(bool condition, string memory what) internal pure {
        if (!condition) revert False(what);
    }
}
