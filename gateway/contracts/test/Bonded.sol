// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Chain} from "./Chain.sol";
import {Trees} from "./Trees.sol";
import {ChallengeBase} from "../src/ChallengeBase.sol";
import {DatasetForge} from "../src/DatasetForge.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {IDAO} from "../src/IDAO.sol";
import {SignatureJudge} from "../src/SignatureJudge.sol";

/// @dev A chain with a window, a bonded iDAO, devices with real keys, and the means to make entries,
/// datasets and proofs as a gateway does.
abstract contract Bonded is Chain {
    uint128 internal constant BOND = 10 ether;
    uint128 internal constant SLICE = 3 ether + 1;
    uint256 internal constant DEPOSIT = 0.1 ether;
    uint64 internal constant WINDOW = 1 days;
    uint64 internal constant RESPONSE = 7 days;
    /// @dev Commit time of the first dataset, and a receive time a minute before, in microseconds.
    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant RECEIVED = (START - 60) * 1e6;
    address internal constant CHALLENGER = address(0xC4A11);
    uint256 internal constant N_SECP256K1 =
        0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint256 internal constant N_P256 =
        0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;
    bytes16 internal constant STATEMENT_TAG = "waystone/stmt/1";
    bytes16 internal constant REALM_TAG = "waystone/relm/1";

    struct Signer {
        uint256 secret;
        SignatureJudge.Key key;
        bytes32 id;
    }

    /// @dev What differs between the statements of these tests.
    struct Fields {
        bytes32 realm;
        bytes32 device;
        bytes16 session;
        uint32 stream;
        uint8 timeBase;
        uint64 first;
        uint32 count;
        uint64 minTime;
        uint64 maxTime;
    }

    /// @dev A dataset with all that proofs need.
    struct Dataset {
        DatasetForge.Record record;
        bytes[] entries;
    }

    Signer internal secp;
    Signer internal p256;
    Signer internal gatewaySigner;

    function terms() internal pure virtual override returns (DatasetForge.Terms memory) {
        return DatasetForge.Terms(WINDOW, RESPONSE, SLICE, SLICE);
    }

    function deposit() internal pure virtual override returns (uint256) {
        return DEPOSIT;
    }

    function setUp() public virtual override {
        super.setUp();
        VM.warp(START - 30 days);
        enrol();
        VM.deal(address(this), BOND);
        datasetForge.depositBond{value: BOND}(address(idao));
        VM.deal(CHALLENGER, 100 ether);
        VM.warp(START);
    }

    /// @dev Registers the signers of these tests to the iDAO.
    function enrol() internal {
        secp = signer(1, uint256(keccak256("secp256k1 device")));
        p256 = signer(2, uint256(keccak256("P-256 device")) >> 1);
        gatewaySigner = signer(1, uint256(keccak256("gateway key")));
        VM.startPrank(OPERATOR);
        registry.register(address(idao), DeviceRegistry.Key(1, 1, secp.key.publicKey));
        registry.register(address(idao), DeviceRegistry.Key(2, 1, p256.key.publicKey));
        gateway =
            registry.register(address(idao), DeviceRegistry.Key(1, 2, gatewaySigner.key.publicKey));
        VM.stopPrank();
    }

    function signer(uint8 keyType, uint256 secret) internal returns (Signer memory made) {
        uint256 x;
        uint256 y;
        if (keyType == 1) {
            secret = secret % N_SECP256K1;
            (x, y) = (VM.createWallet(secret).publicKeyX, VM.createWallet(secret).publicKeyY);
        } else {
            (x, y) = VM.publicKeyP256(secret);
        }
        made.secret = secret;
        bytes1 parity = y & 1 == 0 ? bytes1(0x02) : bytes1(0x03);
        made.key = SignatureJudge.Key(keyType, abi.encodePacked(parity, x), bytes32(y));
        made.id = registry.idOf(keyType, made.key.publicKey);
    }

    function orderOf(Signer memory who) internal pure returns (uint256) {
        return who.key.keyType == 1 ? N_SECP256K1 : N_P256;
    }

    /// @dev Raw r ‖ s over SHA-256 of the message, with low S.
    function signature(Signer memory who, bytes memory message)
        internal
        pure
        returns (bytes memory)
    {
        bytes32 r;
        bytes32 s;
        if (who.key.keyType == 1) (, r, s) = VM.sign(who.secret, sha256(message));
        else (r, s) = VM.signP256(who.secret, sha256(message));
        uint256 n = orderOf(who);
        if (uint256(s) > n / 2) s = bytes32(n - uint256(s));
        return abi.encodePacked(r, s);
    }

    /// @dev The other s: valid ECDSA, and invalid by our rule.
    function highS(Signer memory who, bytes memory low) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = abi.decode(low, (bytes32, bytes32));
        return abi.encodePacked(r, bytes32(orderOf(who) - uint256(s)));
    }

    function realmOf(uint64 chain, address who) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(REALM_TAG, chain, who));
    }

    /// @dev A statement in order: `first` on, two frames, a minute before the commit.
    function fields(Signer memory who, uint64 first) internal view returns (Fields memory) {
        return Fields({
            realm: realmOf(31337, address(idao)),
            device: who.id,
            session: bytes16(uint128(0x5e55)),
            stream: 7,
            timeBase: 1,
            first: first,
            count: 2,
            minTime: RECEIVED - 2e6,
            maxTime: RECEIVED - 1e6
        });
    }

    function statement(Fields memory f) internal pure returns (bytes memory) {
        bytes memory front = abi.encodePacked(
            STATEMENT_TAG, f.realm, f.device, f.session, f.stream, uint16(1), f.timeBase, uint8(0)
        );
        bytes memory middle =
            abi.encodePacked(front, f.first, f.count, uint32(0), f.minTime, f.maxTime);
        return abi.encodePacked(middle, keccak256("frames"), bytes32(0));
    }

    function entryOf(bytes memory statement_, bytes memory signature_, uint64 receivedAt)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(statement_, signature_, receivedAt, uint32(0), uint32(0));
    }

    /// @dev An honest entry, whatever its fields are: the device signed them.
    function entry(Signer memory who, Fields memory f) internal pure returns (bytes memory) {
        bytes memory text = statement(f);
        return entryOf(text, signature(who, text), RECEIVED);
    }

    function entry(Signer memory who, uint64 first) internal view returns (bytes memory) {
        return entry(who, fields(who, first));
    }

    function honest() internal view returns (bytes[] memory entries) {
        entries = new bytes[](3);
        entries[0] = entry(secp, 0);
        entries[1] = entry(p256, 0);
        entries[2] = entry(secp, 2);
    }

    /// @dev A dataset with one more entry behind honest ones.
    function with(bytes memory last) internal view returns (bytes[] memory entries) {
        entries = new bytes[](3);
        entries[0] = entry(secp, 1000);
        entries[1] = entry(p256, 1000);
        entries[2] = last;
    }

    function recordOf(uint64 index, bytes[] memory entries)
        internal
        view
        returns (DatasetForge.Record memory record)
    {
        record = recordAt(index);
        record.root = Trees.rootOf(Trees.leavesOf(entries));
        record.count = uint64(entries.length);
        record.minTime = RECEIVED - 2e6;
        record.maxTime = RECEIVED - 1e6;
    }

    function commit(uint64 index, bytes[] memory entries) internal returns (Dataset memory made) {
        made = Dataset(recordOf(index, entries), entries);
        VM.prank(OPERATOR);
        datasetForge.commit(made.record);
    }

    function proofOf(Dataset memory dataset, uint64 index)
        internal
        pure
        returns (ChallengeBase.Proof memory)
    {
        bytes32[] memory leaves = Trees.leavesOf(dataset.entries);
        return ChallengeBase.Proof(dataset.entries[index], index, Trees.pathOf(leaves, index));
    }

    function keyOf(DatasetForge.Record memory record) internal view returns (bytes32) {
        return datasetForge.keyOf(record.idao, record.logId, record.index);
    }

    function statusOf(DatasetForge.Record memory record) internal view returns (uint8 status) {
        (status,,,) = datasetForge.statusOf(keyOf(record));
    }

    function bond() internal view returns (uint256 amount) {
        (amount,,) = datasetForge.bondOf(address(idao));
    }

    function notAFault(uint8 fault) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ChallengeBase.NotAFault.selector, fault);
    }

    /// @dev Nothing was taken and the dataset goes on to its token.
    function untouched(Dataset memory dataset) internal {
        eq(bond(), BOND, "the bond is whole");
        eq(datasetForge.burnt(), 0, "nothing is burnt");
        eq(datasetForge.rewardOf(CHALLENGER), 0, "nothing is earned");
        eq(statusOf(dataset.record), 1, "committed");
        VM.warp(START + WINDOW + RESPONSE);
        VM.prank(OPERATOR);
        datasetForge.finalise(dataset.record, params());
    }

    /// @dev One slice was taken, at least half of it is burnt, and there will be no token.
    function upheld(Dataset memory dataset, uint8 fault) internal {
        eq(bond(), BOND - SLICE, "a slice is gone");
        eq(datasetForge.rewardOf(CHALLENGER), SLICE / 2, "the challenger's half");
        eq(datasetForge.burnt(), SLICE - SLICE / 2, "the rest is burnt");
        eq(statusOf(dataset.record), 3, "void");
        bytes32 key = keyOf(dataset.record);
        ok(datasetForge.isUpheld(key, fault), "this fault");
        VM.warp(START + WINDOW + RESPONSE);
        VM.expectRevert(abi.encodeWithSelector(DatasetForge.DatasetVoid.selector, key));
        VM.prank(OPERATOR);
        datasetForge.finalise(dataset.record, params());
    }
}
