// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "./IDeviceRegistry.sol";
import {IIDAO} from "./IIDAO.sol";

/// @title DeviceRegistry
/// @notice Which iDAO a device key or a gateway key belongs to, since when, and until when.
/// One storage slot for each key; block time is the only clock. A key's id is the SHA-256 of its
/// multicodec prefix followed by the compressed key, worked out here and never taken on trust.
///
/// A revoked key stays revoked, and a key never moves to another iDAO.
contract DeviceRegistry is IDeviceRegistry {
    /// @notice secp256k1, 33 bytes compressed, multicodec 0xe7 0x01.
    uint8 public constant KEY_SECP256K1 = 1;
    /// @notice P-256, 33 bytes compressed, multicodec 0x80 0x24.
    uint8 public constant KEY_P256 = 2;
    /// @notice Ed25519, 32 bytes, multicodec 0xed 0x01.
    uint8 public constant KEY_ED25519 = 3;

    /// @notice The key signs statements.
    uint8 public constant KIND_DEVICE = 1;
    /// @notice The key signs receipts and checkpoints.
    uint8 public constant KIND_GATEWAY = 2;

    bytes2 private constant MULTICODEC_SECP256K1 = 0xe701;
    bytes2 private constant MULTICODEC_P256 = 0x8024;
    bytes2 private constant MULTICODEC_ED25519 = 0xed01;

    /// @notice A key to register.
    struct Key {
        uint8 keyType;
        uint8 kind;
        bytes publicKey;
    }

    /// @notice What is known of a key. Times are Unix seconds; zero means never.
    /// @dev `attestationLevel` 0: nothing is proven about where the key lives. Other levels need a
    /// proof that this version does not take, so none is set.
    struct Record {
        address idao;
        uint64 registeredAt;
        uint64 revokedAt;
        uint8 keyType;
        uint8 kind;
        uint8 attestationLevel;
    }

    // One word for each key: iDAO 160 bits | registeredAt 40 | revokedAt 40 | key type 4 | kind 4 |
    // attestation level 4 | 4 free. 40 bits of seconds last for 34,000 years.
    uint256 private constant REGISTERED_AT = 160;
    uint256 private constant REVOKED_AT = 200;
    uint256 private constant KEY_TYPE = 240;
    uint256 private constant KIND = 244;
    uint256 private constant ATTESTATION = 248;

    mapping(bytes32 id => uint256 word) private _words;

    /// @notice A key was registered. `publicKey` is in the log, so that anyone can check signatures.
    event DeviceRegistered(
        bytes32 indexed id, address indexed idao, uint8 kind, uint8 keyType, bytes publicKey
    );
    event DeviceRevoked(bytes32 indexed id, address indexed idao);

    /// @notice The iDAO does not let the caller register its keys.
    error NotAuthorised(address idao, address caller);
    /// @notice The key belongs to another iDAO, and stays there.
    error RegisteredElsewhere(bytes32 id, address idao);
    /// @notice The key was revoked; a revoked key does not come back.
    error Revoked(bytes32 id);
    /// @notice The key is registered as the other kind.
    error KindDiffers(bytes32 id, uint8 kind);
    /// @notice No such key is registered for the iDAO.
    error NotRegistered(bytes32 id);
    error UnknownKeyType(uint8 keyType);
    error UnknownKind(uint8 kind);
    /// @notice Length or first byte does not fit a compressed key of its type.
    error MalformedKey(uint8 keyType, bytes publicKey);

    /// @notice Registers one key. Doing it again for the same iDAO changes nothing.
    /// @return id the key's id
    function register(address idao, Key calldata key) external returns (bytes32 id) {
        _checkAuthorised(idao);
        return _register(idao, key);
    }

    /// @notice Registers many keys; those that are registered already are passed over.
    function registerMany(address idao, Key[] calldata keys) external {
        _checkAuthorised(idao);
        for (uint256 i = 0; i < keys.length; ++i) {
            _register(idao, keys[i]);
        }
    }

    /// @notice Withdraws a key from now on. Doing it again changes nothing.
    function revoke(bytes32 id) external {
        Record memory record = recordOf(id);
        if (record.idao == address(0)) revert NotRegistered(id);
        _checkAuthorised(record.idao);
        if (record.revokedAt != 0) return;
        _words[id] |= block.timestamp << REVOKED_AT;
        emit DeviceRevoked(id, record.idao);
    }

    /// @inheritdoc IDeviceRegistry
    /// @dev A gateway revoked since still counts: what it sealed before may yet be forged.
    function isGatewayOf(bytes32 id, address idao) external view override returns (bool) {
        Record memory record = recordOf(id);
        return idao != address(0) && record.idao == idao && record.kind == KIND_GATEWAY;
    }

    /// @notice The record of a key; all zero when it is unknown.
    function recordOf(bytes32 id) public view returns (Record memory record) {
        uint256 word = _words[id];
        // Each cast cuts the word at the end of its field.
        // forge-lint: disable-start(unsafe-typecast)
        record.idao = address(uint160(word));
        record.registeredAt = uint40(word >> REGISTERED_AT);
        record.revokedAt = uint40(word >> REVOKED_AT);
        record.keyType = uint8((word >> KEY_TYPE) & 0xf);
        record.kind = uint8((word >> KIND) & 0xf);
        record.attestationLevel = uint8((word >> ATTESTATION) & 0xf);
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// @notice The id of a key: SHA-256 of multicodec prefix and compressed key.
    function idOf(uint8 keyType, bytes calldata publicKey) public pure returns (bytes32) {
        if (keyType == 0 || keyType > KEY_ED25519) revert UnknownKeyType(keyType);
        if (keyType == KEY_ED25519) {
            if (publicKey.length != 32) revert MalformedKey(keyType, publicKey);
            return sha256(abi.encodePacked(MULTICODEC_ED25519, publicKey));
        }
        // A compressed point starts with the parity of y: 2 even, 3 odd (SEC 1, 2.3.3).
        if (publicKey.length != 33 || (uint8(publicKey[0]) | 1) != 3) {
            revert MalformedKey(keyType, publicKey);
        }
        bytes2 prefix = keyType == KEY_SECP256K1 ? MULTICODEC_SECP256K1 : MULTICODEC_P256;
        return sha256(abi.encodePacked(prefix, publicKey));
    }

    function _register(address idao, Key calldata key) private returns (bytes32 id) {
        if (key.kind != KIND_DEVICE && key.kind != KIND_GATEWAY) revert UnknownKind(key.kind);
        id = idOf(key.keyType, key.publicKey);
        Record memory known = recordOf(id);
        if (known.idao != address(0)) {
            if (known.idao != idao) revert RegisteredElsewhere(id, known.idao);
            if (known.revokedAt != 0) revert Revoked(id);
            if (known.kind != key.kind) revert KindDiffers(id, known.kind);
            return id;
        }
        _words[id] = uint256(uint160(idao)) | (block.timestamp << REGISTERED_AT)
            | (uint256(key.keyType) << KEY_TYPE) | (uint256(key.kind) << KIND);
        emit DeviceRegistered(id, idao, key.kind, key.keyType, key.publicKey);
    }

    function _checkAuthorised(address idao) private view {
        if (!IIDAO(idao).canRegister(msg.sender)) revert NotAuthorised(idao, msg.sender);
    }
}
