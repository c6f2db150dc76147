// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

/// @title SignatureJudge
/// @notice Waystone's one rule for ECDSA signatures, as `proto/signature.ts` has it: SHA-256 of the
/// message, raw r ‖ s, 1 ≤ r < n, 1 ≤ s ≤ n/2. Both give the same verdict on every signature.
///
/// "Invalid" is a verdict that costs a bond, so it is given only where the inputs were checked and
/// the precompiles were seen to work. Whatever else goes wrong reverts: a key off its curve, a
/// precompile that fails or is not there, too little gas.
///
/// A contract of its own, without storage: {Challenges} creates it and would be too large with it.
contract SignatureJudge {
    /// @notice Key type secp256k1, as in {DeviceRegistry}.
    uint8 public constant SECP256K1 = 1;
    /// @notice Key type P-256.
    uint8 public constant P_256 = 2;

    /// @dev secp256k1: field, order, half the order rounded down (SEC 2, 2.4.1).
    uint256 private constant P = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;
    uint256 private constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint256 private constant HALF_N =
        0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @dev More than ecrecover takes (3,000), with the 64th part that a call leaves behind.
    uint256 private constant RECOVER_GAS = 10_000;

    /// @notice A public key as its id commits to it, with the half that compression leaves out.
    /// @param publicKey 33 bytes, compressed
    /// @param y the point's y; its parity is in `publicKey`
    struct Key {
        uint8 keyType;
        bytes publicKey;
        bytes32 y;
    }

    /// @notice Only secp256k1 and P-256 can be judged here.
    error NotJudgeable(uint8 keyType);
    /// @notice `y` has another parity than the compressed key says, or the point is off the curve.
    error NotThePoint(bytes publicKey, bytes32 y);
    /// @notice A signature is r and s, 32 bytes each.
    error SignatureLength(uint256 length);
    /// @notice With so little gas ecrecover might fail, which would say nothing.
    error TooLittleGas(uint256 gas);
    /// @notice ecrecover does not do on this chain what it does elsewhere.
    error PrecompileFails();

    /// @notice Whether `signature` is `key`'s for `digest`. That the key has the right id is for the
    /// caller to check.
    function isValid(Key calldata key, bytes32 digest, bytes calldata signature)
        external
        view
        returns (bool)
    {
        if (key.keyType != SECP256K1 && key.keyType != P_256) revert NotJudgeable(key.keyType);
        if (signature.length != 64) revert SignatureLength(signature.length);
        if (key.publicKey.length != 33) revert NotThePoint(key.publicKey, key.y);
        bytes32 x = bytes32(key.publicKey[1:33]);
        // 2 for an even y, 3 for an odd one (SEC 1, 2.3.3).
        if (uint8(key.publicKey[0]) != 2 + (uint256(key.y) & 1)) {
            revert NotThePoint(key.publicKey, key.y);
        }
        bool onCurve = key.keyType == SECP256K1
            ? _isOnSecp256k1(uint256(x), uint256(key.y))
            : P256.isValidPublicKey(x, key.y);
        if (!onCurve) revert NotThePoint(key.publicKey, key.y);
        (bytes32 r, bytes32 s) = (bytes32(signature[0:32]), bytes32(signature[32:64]));
        if (key.keyType == P_256) return _isValidP256(digest, r, s, x, key.y);
        return _isValidSecp256k1(digest, uint256(r), uint256(s), uint256(x), uint256(key.y));
    }

    /// @dev Invalid only where the precompile, if there is one, and the Solidity code agree.
    function _isValidP256(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        private
        view
        returns (bool)
    {
        return P256.verify(digest, r, s, x, y) || P256.verifySolidity(digest, r, s, x, y);
    }

    function _isValidSecp256k1(bytes32 digest, uint256 r, uint256 s, uint256 x, uint256 y)
        private
        view
        returns (bool)
    {
        if (r == 0 || r >= N || s == 0 || s > HALF_N) return false;
        address signer = _addressOf(x, y);
        if (_recover(digest, 27, r, s) == signer || _recover(digest, 28, r, s) == signer) {
            return true;
        }
        if (r < P - N && _isValidWrapped(digest, r, s, x, y)) return true;
        _checkPrecompile();
        return false;
    }

    /// @dev The signature's point R may have an x of r + n, which ecrecover cannot be told. A device
    /// can make such a signature for a key that it chooses afterwards, so it must be judged.
    ///
    /// ecrecover(h, v, r', s') gives the address of (s'·R' − h·G) / r', where R' has the x of r'.
    /// With R' = Q, the key's own point, s' = r·x/s and h = −digest·x/s that is
    /// (r·Q + digest·G) / s, the R that the verification of (r, s) works out. It is valid when that
    /// is a point of x = r + n.
    function _isValidWrapped(bytes32 digest, uint256 r, uint256 s, uint256 x, uint256 y)
        private
        view
        returns (bool)
    {
        // Nobody can make a key with such an x and a signature with such an r; ecrecover could not
        // be told the key's x either.
        if (x >= N) revert NotJudgeable(SECP256K1);
        uint256 scale = mulmod(Math.invModPrime(s, N), x, N);
        uint256 h = (N - mulmod(scale, uint256(digest) % N, N)) % N;
        // 27 for an even y, 28 for an odd one.
        // forge-lint: disable-next-line(unsafe-typecast)
        address found = _recover(bytes32(h), uint8(27 + (y & 1)), x, mulmod(scale, r, N));
        uint256 rx = r + N;
        uint256 square = addmod(mulmod(mulmod(rx, rx, P), rx, P), 7, P);
        // P is 3 modulo 4, so this is the root if there is one.
        uint256 ry = Math.modExp(square, (P + 1) / 4, P);
        if (mulmod(ry, ry, P) != square || found == address(0)) return false;
        return found == _addressOf(rx, ry) || found == _addressOf(rx, P - ry);
    }

    function _isOnSecp256k1(uint256 x, uint256 y) private pure returns (bool) {
        if (x >= P || y >= P) return false;
        return mulmod(y, y, P) == addmod(mulmod(mulmod(x, x, P), x, P), 7, P);
    }

    function _addressOf(uint256 x, uint256 y) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode(x, y)))));
    }

    /// @dev The address that ecrecover gives, zero where it finds none. Reverts where it failed,
    /// which is not the same.
    function _recover(bytes32 digest, uint8 v, uint256 r, uint256 s)
        private
        view
        returns (address found)
    {
        if (gasleft() < RECOVER_GAS) revert TooLittleGas(gasleft());
        bytes memory input = abi.encode(digest, v, r, s);
        bool success;
        uint256 size;
        assembly ("memory-safe") {
            mstore(0x00, 0)
            success := staticcall(gas(), 0x01, add(input, 0x20), 0x80, 0x00, 0x20)
            size := returndatasize()
            found := mload(0x00)
        }
        if (!success || (size != 0 && size != 32)) revert PrecompileFails();
    }

    /// @dev Before a signature is called invalid: does ecrecover find a signer that is known?
    /// The signature is the example of EIP-155 (private key 0x46…46).
    function _checkPrecompile() private view {
        address known = _recover(
            0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53,
            27,
            0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276,
            0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83
        );
        if (known != 0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F) revert PrecompileFails();
    }
}
