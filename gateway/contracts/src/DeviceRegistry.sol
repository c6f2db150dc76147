// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDeviceRegistry} from "./IDeviceRegistry.sol";
import {IIDAO} from "./IIDAO.sol";
import {SignatureJudge} from "./SignatureJudge.sol";

/// @title DeviceRegistry
/// @notice Which keys are devices or gateways of an iDAO, since when, and until when. One storage
/// slot for each key of an iDAO; block time is the only clock. A key's id is the SHA-256 of its
/// multicodec prefix followed by the compressed key, worked out here and never taken on trust.
///
/// Each iDAO has a slot of its own for a key. So whoever registers a key of others keeps nobody from
/// anything, and gains nothing: a statement names the iDAO that it is meant for. That a device holds
/// its key, and means to be this iDAO's, it shows with a signature, see {Possession}; the record then
/// says so. Ed25519 cannot be checked at a bearable price, so such keys are never shown as proven.
///
/// Whatever changes here later leaves commits before it in order: times of registration never
/// change, and a key ends now or later, never earlier.
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

    // Why a key ends.

    /// @notice Withdrawn.
    uint8 public constant RETIRED_REVOKED = 1;
    /// @notice Another key took its place; until `revokedAt` data that waited may still come.
    uint8 public constant RETIRED_ROTATED = 2;
    /// @notice Others may have it: gateways refuse its data at once.
    uint8 public constant RETIRED_COMPROMISED = 3;

    /// @notice How long a rotated key may go on at most.
    uint64 public constant DRAIN_SECONDS_MAX = 365 days;

    bytes2 private constant MULTICODEC_SECP256K1 = 0xe701;
    bytes2 private constant MULTICODEC_P256 = 0x8024;
    bytes2 private constant MULTICODEC_ED25519 = 0xed01;

    /// @dev ASCII, padded with NUL to 16 bytes.
    bytes16 private constant ENROLMENT_TAG = "waystone/enrl/1";
    bytes16 private constant ROTATION_TAG = "waystone/rotn/1";

    /// @notice A key to register.
    struct Key {
        uint8 keyType;
        uint8 kind;
        bytes publicKey;
    }

    /// @notice Shows that whoever holds the key wants it registered here.
    /// @param expiry last second in which it counts (Unix seconds)
    /// @param y the half of the key that compression leaves out
    /// @param signature raw r ‖ s with low S over SHA-256 of {possessionMessage}; empty: no proof
    struct Possession {
        uint64 expiry;
        bytes32 y;
        bytes signature;
    }

    /// @notice Both keys say that the new one takes the place of the old one.
    /// @param drainUntil last second in which data of the old key may be received
    /// @param expiry last second in which the link counts
    struct Link {
        uint64 drainUntil;
        uint64 expiry;
        bytes32 oldY;
        bytes oldSignature;
        bytes32 newY;
        bytes newSignature;
    }

    /// @notice What is known of a key. Times are Unix seconds; zero means never.
    /// @param idao the iDAO that was asked for, or zero when the key is not registered to it
    /// @param revokedAt its end, which may be ahead for a rotated key
    /// @param attestationLevel 0: nothing is proven about where the key lives; others are the
    /// attester's word
    /// @param retirement why it ended, one of the RETIRED constants
    /// @param proven whether the key was seen to be held, see {Possession}
    struct Record {
        address idao;
        uint64 registeredAt;
        uint64 revokedAt;
        uint8 keyType;
        uint8 kind;
        uint8 attestationLevel;
        uint8 retirement;
        bool proven;
    }

    // One word for each key: registeredAt 40 bits | revokedAt 40 | key type 4 | kind 4 |
    // attestation level 4 | retirement 4 | proven 1. 40 bits of seconds last for 34,000 years.
    uint256 private constant REVOKED_AT = 40;
    uint256 private constant KEY_TYPE = 80;
    uint256 private constant KIND = 84;
    uint256 private constant ATTESTATION = 88;
    uint256 private constant RETIREMENT = 92;
    uint256 private constant PROVEN = 96;
    uint256 private constant REVOKED_AT_MASK = uint256(type(uint40).max) << REVOKED_AT;
    uint256 private constant ATTESTATION_MASK = uint256(0xf) << ATTESTATION;
    uint256 private constant RETIREMENT_MASK = uint256(0xf) << RETIREMENT;

    /// @notice Judges signatures, here and for {Challenges}.
    SignatureJudge public immutable judge;
    /// @notice The only account that sets attestation levels; zero: nobody.
    address public immutable attester;

    mapping(address idao => mapping(bytes32 id => uint256 word)) private _words;

    /// @notice A key was registered. `publicKey` is in the log, so that anyone can check signatures.
    event DeviceRegistered(
        bytes32 indexed id, address indexed idao, uint8 kind, uint8 keyType, bytes publicKey
    );
    /// @notice The key was seen to be held.
    event DeviceProven(bytes32 indexed id, address indexed idao);
    /// @notice The key ends at `revokedAt` (Unix seconds), for one of the RETIRED reasons.
    event DeviceRetired(
        bytes32 indexed id, address indexed idao, uint8 retirement, uint64 revokedAt
    );
    /// @notice `newId` took the place of `oldId`; both keys signed that.
    event DeviceRotated(bytes32 indexed oldId, bytes32 indexed newId, address indexed idao);
    /// @notice What the attester says about where the key lives.
    event DeviceAttested(bytes32 indexed id, address indexed idao, uint8 level);

    /// @notice The iDAO does not let the caller register its keys.
    error NotAuthorised(address idao, address caller);
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
    /// @notice As many proofs as keys are needed.
    error LengthsDiffer(uint256 keys, uint256 possessions);
    /// @notice The signature is not the key's, or is for another chain, registry, iDAO or kind.
    error NotPossessed(bytes32 id);
    /// @notice The proof or link counted until `expiry`.
    error Expired(bytes32 id, uint64 expiry);
    /// @notice Data may wait from now until {DRAIN_SECONDS_MAX} ahead.
    error DrainOutOfRange(uint64 drainUntil);
    /// @notice The caller is not the attester.
    error OnlyAttester(address caller);
    /// @notice Levels are 0 to 15.
    error UnknownLevel(uint8 level);
    /// @notice Chain ids beyond 64 bits do not fit what is signed.
    error ChainIdTooLarge(uint256 chainId);

    /// @param attester_ sets attestation levels; zero for nobody
    constructor(address attester_) {
        attester = attester_;
        judge = new SignatureJudge();
    }

    // --------------------------------------------------------------------------- registration

    /// @notice Registers one key. Doing it again for the same iDAO changes nothing.
    /// @return id the key's id
    function register(address idao, Key calldata key) external returns (bytes32 id) {
        _checkAuthorised(idao);
        (id,) = _register(idao, key);
    }

    /// @notice Registers many keys; those that are registered already are passed over.
    function registerMany(address idao, Key[] calldata keys) external {
        _checkAuthorised(idao);
        for (uint256 i = 0; i < keys.length; ++i) {
            _register(idao, keys[i]);
        }
    }

    /// @notice Registers many keys, with a proof that each is held; an empty signature is none. For
    /// keys that are registered already the proof is added.
    function registerProven(address idao, Key[] calldata keys, Possession[] calldata possessions)
        external
    {
        if (keys.length != possessions.length) {
            revert LengthsDiffer(keys.length, possessions.length);
        }
        _checkAuthorised(idao);
        for (uint256 i = 0; i < keys.length; ++i) {
            (bytes32 id, uint256 word) = _register(idao, keys[i]);
            if (possessions[i].signature.length == 0 || (word >> PROVEN) & 1 == 1) continue;
            _checkPossession(idao, id, keys[i], possessions[i]);
            _setProven(idao, id, word);
        }
    }

    /// @notice Registers a new key in the place of an old one, with the word of both. Data of the
    /// old key that waits on the device may be received until `link.drainUntil`.
    /// @return newId the new key's id
    function rotate(address idao, Key calldata oldKey, Key calldata newKey, Link calldata link)
        external
        returns (bytes32 newId)
    {
        _checkAuthorised(idao);
        bytes32 oldId = idOf(oldKey.keyType, oldKey.publicKey);
        uint256 oldWord = _words[idao][oldId];
        if (oldWord == 0) revert NotRegistered(oldId);
        if (oldWord & REVOKED_AT_MASK != 0) revert Revoked(oldId);
        uint8 kind = uint8((oldWord >> KIND) & 0xf);
        if (newKey.kind != kind) revert KindDiffers(oldId, kind);
        // forge-lint: disable-start(block-timestamp)
        if (block.timestamp > link.expiry) revert Expired(oldId, link.expiry);
        bool inRange = link.drainUntil >= block.timestamp
            && link.drainUntil <= block.timestamp + DRAIN_SECONDS_MAX;
        // forge-lint: disable-end(block-timestamp)
        if (!inRange) revert DrainOutOfRange(link.drainUntil);
        uint256 word;
        (newId, word) = _register(idao, newKey);
        bytes32 digest = sha256(rotationMessage(idao, oldId, newId, link.drainUntil, link.expiry));
        _checkSigned(oldId, oldKey, link.oldY, digest, link.oldSignature);
        _checkSigned(newId, newKey, link.newY, digest, link.newSignature);
        if ((word >> PROVEN) & 1 == 0) _setProven(idao, newId, word);
        _retire(idao, oldId, oldWord, RETIRED_ROTATED, link.drainUntil);
        emit DeviceRotated(oldId, newId, idao);
    }

    // ------------------------------------------------------------------------------------ end

    /// @notice Withdraws a key from now on. Doing it again changes nothing; a rotated key that still
    /// drains ends now.
    function revoke(address idao, bytes32 id) external {
        _end(idao, id, RETIRED_REVOKED);
    }

    /// @notice Says that others may have the key. It ends now, if it had not before; data received
    /// before it is still in order.
    function declareCompromised(address idao, bytes32 id) external {
        _end(idao, id, RETIRED_COMPROMISED);
    }

    /// @notice Says what is proven about where a key lives. Levels are the attester's to define.
    function attest(address idao, bytes32 id, uint8 level) external {
        if (msg.sender != attester) revert OnlyAttester(msg.sender);
        if (level > 15) revert UnknownLevel(level);
        uint256 word = _words[idao][id];
        if (word == 0) revert NotRegistered(id);
        _words[idao][id] = (word & ~ATTESTATION_MASK) | (uint256(level) << ATTESTATION);
        emit DeviceAttested(id, idao, level);
    }

    // ---------------------------------------------------------------------------------- views

    /// @inheritdoc IDeviceRegistry
    /// @dev A gateway revoked since still counts: what it sealed before may yet be forged.
    function isGatewayOf(bytes32 id, address idao) external view override returns (bool) {
        return (_words[idao][id] >> KIND) & 0xf == KIND_GATEWAY;
    }

    /// @notice The record of a key of an iDAO; all zero when it is not registered to it.
    function recordOf(address idao, bytes32 id) public view returns (Record memory record) {
        uint256 word = _words[idao][id];
        if (word == 0) return record;
        record.idao = idao;
        // Each cast cuts the word at the end of its field.
        // forge-lint: disable-start(unsafe-typecast)
        record.registeredAt = uint40(word);
        record.revokedAt = uint40(word >> REVOKED_AT);
        record.keyType = uint8((word >> KEY_TYPE) & 0xf);
        record.kind = uint8((word >> KIND) & 0xf);
        record.attestationLevel = uint8((word >> ATTESTATION) & 0xf);
        record.retirement = uint8((word >> RETIREMENT) & 0xf);
        // forge-lint: disable-end(unsafe-typecast)
        record.proven = (word >> PROVEN) & 1 == 1;
    }

    /// @notice What a key signs to be registered. Layout, bytes: tag 0..16, chain id ..24, registry
    /// ..44, iDAO ..64, key id ..96, kind ..97, expiry ..105.
    function possessionMessage(address idao, bytes32 id, uint8 kind, uint64 expiry)
        public
        view
        returns (bytes memory)
    {
        return abi.encodePacked(ENROLMENT_TAG, _chainId(), address(this), idao, id, kind, expiry);
    }

    /// @notice What both keys sign for a rotation. Layout, bytes: tag 0..16, chain id ..24, registry
    /// ..44, iDAO ..64, old id ..96, new id ..128, drain until ..136, expiry ..144.
    function rotationMessage(
        address idao,
        bytes32 oldId,
        bytes32 newId,
        uint64 drainUntil,
        uint64 expiry
    ) public view returns (bytes memory) {
        return abi.encodePacked(
            ROTATION_TAG, _chainId(), address(this), idao, oldId, newId, drainUntil, expiry
        );
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

    function _register(address idao, Key calldata key) private returns (bytes32 id, uint256 word) {
        if (key.kind != KIND_DEVICE && key.kind != KIND_GATEWAY) revert UnknownKind(key.kind);
        id = idOf(key.keyType, key.publicKey);
        word = _words[idao][id];
        if (word != 0) {
            if (word & REVOKED_AT_MASK != 0) revert Revoked(id);
            // forge-lint: disable-next-line(unsafe-typecast)
            uint8 kind = uint8((word >> KIND) & 0xf);
            if (kind != key.kind) revert KindDiffers(id, kind);
            return (id, word);
        }
        word = uint256(uint40(block.timestamp)) | (uint256(key.keyType) << KEY_TYPE)
            | (uint256(key.kind) << KIND);
        _words[idao][id] = word;
        emit DeviceRegistered(id, idao, key.kind, key.keyType, key.publicKey);
    }

    function _setProven(address idao, bytes32 id, uint256 word) private {
        _words[idao][id] = word | (uint256(1) << PROVEN);
        emit DeviceProven(id, idao);
    }

    function _end(address idao, bytes32 id, uint8 retirement) private {
        _checkAuthorised(idao);
        uint256 word = _words[idao][id];
        if (word == 0) revert NotRegistered(id);
        uint256 endsAt = (word & REVOKED_AT_MASK) >> REVOKED_AT;
        uint256 known = (word & RETIREMENT_MASK) >> RETIREMENT;
        // What has ended ends no earlier; that others have it may be found out later.
        // forge-lint: disable-next-line(block-timestamp)
        bool isOver = endsAt != 0 && endsAt <= block.timestamp;
        if (isOver && (known == RETIRED_COMPROMISED || retirement == RETIRED_REVOKED)) return;
        // Both have 40 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        _retire(idao, id, word, retirement, isOver ? uint64(endsAt) : uint64(block.timestamp));
    }

    function _retire(address idao, bytes32 id, uint256 word, uint8 retirement, uint64 revokedAt)
        private
    {
        // Ends are at most a year ahead.
        // forge-lint: disable-next-item(unsafe-typecast)
        _words[idao][id] = (word & ~(REVOKED_AT_MASK | RETIREMENT_MASK))
            | (uint256(uint40(revokedAt)) << REVOKED_AT) | (uint256(retirement) << RETIREMENT);
        emit DeviceRetired(id, idao, retirement, revokedAt);
    }

    function _checkPossession(
        address idao,
        bytes32 id,
        Key calldata key,
        Possession calldata possession
    ) private view {
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp > possession.expiry) revert Expired(id, possession.expiry);
        bytes32 digest = sha256(possessionMessage(idao, id, key.kind, possession.expiry));
        _checkSigned(id, key, possession.y, digest, possession.signature);
    }

    function _checkSigned(
        bytes32 id,
        Key calldata key,
        bytes32 y,
        bytes32 digest,
        bytes calldata signature
    ) private view {
        SignatureJudge.Key memory judged = SignatureJudge.Key(key.keyType, key.publicKey, y);
        if (!judge.isValid(judged, digest, signature)) revert NotPossessed(id);
    }

    function _chainId() private view returns (uint64) {
        if (block.chainid > type(uint64).max) revert ChainIdTooLarge(block.chainid);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(block.chainid);
    }

    function _checkAuthorised(address idao) private view {
        if (!IIDAO(idao).canRegister(msg.sender)) revert NotAuthorised(idao, msg.sender);
    }
}
