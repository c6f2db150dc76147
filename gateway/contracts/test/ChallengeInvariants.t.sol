// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bonded} from "./Bonded.sol";
import {ChallengeBase} from "../src/ChallengeBase.sol";
import {DatasetForge} from "../src/DatasetForge.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {IDAO} from "../src/IDAO.sol";

/// @dev Does what owners, gateways, challengers and helpers do, in any order, and keeps its own
/// books. Honest and bad datasets are committed alike; every challenge is tried on any of them.
contract Players is Bonded {
    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public rewardsTaken;
    uint256 public questionsPaid;
    uint256 public depositsTaken;
    uint256 public slices;
    /// @dev A slice was taken for an honest dataset: never to become true.
    bool public isHonestSlashed;

    Dataset[] private _datasets;
    bool[] private _isBad;
    /// @dev By whether it is the secp256k1 device.
    mapping(bool isSecp => bool) private _isRevoked;
    uint64 private _sequence;
    uint64 private _now;
    address private constant HELPER = address(0x4E19E4);

    constructor() {
        Bonded.setUp();
        _now = START;
        deposited = BOND;
    }

    /// @dev Not one of the moves.
    function setUp() public pure override {}

    modifier onTime() {
        VM.warp(_now);
        _;
    }

    function wait_(uint32 seconds_) external {
        // Hours as a rule, so that windows are met; days now and then, so that they end.
        _now += seconds_ % 5 == 0 ? 8 days : seconds_ % 4 hours;
    }

    function depositBond(uint64 amount) external onTime {
        if (amount == 0) return;
        VM.deal(address(this), amount);
        datasetForge.depositBond{value: amount}(address(idao));
        deposited += amount;
    }

    function requestBond(uint256 amount) external onTime {
        (uint256 there,,) = datasetForge.bondOf(address(idao));
        VM.prank(OWNER);
        // forge-lint: disable-next-line(unsafe-typecast)
        datasetForge.requestBond(address(idao), uint128(amount % (there / 2 + 1)));
    }

    function takeBond() external onTime {
        VM.prank(OWNER);
        try datasetForge.takeBond(address(idao)) returns (uint256 amount) {
            withdrawn += amount;
        } catch {}
    }

    function takeReward() external onTime {
        VM.prank(CHALLENGER);
        try datasetForge.takeReward(payable(CHALLENGER)) returns (uint256 amount) {
            rewardsTaken += amount;
        } catch {}
    }

    /// @dev `kind` 0 to 3 is honest; from 4 on one entry has one fault.
    function commit_(uint8 kind) external onTime {
        if (_datasets.length == 12) return;
        if (_isRevoked[true] && _isRevoked[false]) return;
        kind = kind % 8;
        uint64 received = (_now - 60) * 1e6;
        bytes[] memory entries = new bytes[](2 + kind % 4);
        for (uint256 i = 0; i < entries.length; ++i) {
            bool isSecp = _isRevoked[false] || (i % 2 == 0 && !_isRevoked[true]);
            Signer memory who = isSecp ? secp : p256;
            Fields memory f = fields(who, _sequence);
            _sequence += 2;
            (f.minTime, f.maxTime) = (received - 2e6, received - 1e6);
            if (kind == 6 && i == 1) f.realm = keccak256("elsewhere");
            if (kind == 7 && i == 1) f.maxTime = received;
            // The range of the entry before it, whose device may be another.
            if (kind == 5 && i == 1) f.first = _sequence - 4;
            bytes memory text = statement(f);
            bytes memory signed = signature(who, text);
            if (kind == 4 && i == 1) signed = highS(who, signed);
            entries[i] = entryOf(text, signed, received);
        }
        Dataset memory dataset = Dataset(recordOf(uint64(_datasets.length), entries), entries);
        (dataset.record.minTime, dataset.record.maxTime) = (received - 2e6, received - 1e6);
        VM.prank(OPERATOR);
        try datasetForge.commit(dataset.record) {
            _datasets.push(dataset);
            _isBad.push(kind >= 4);
        } catch {}
    }

    /// @dev Tries every fault of one or two entries on every entry of a dataset.
    function challenge(uint256 which) external onTime {
        if (_datasets.length == 0) return;
        which = which % _datasets.length;
        Dataset memory dataset = _datasets[which];
        DatasetForge.Record memory record = dataset.record;
        for (uint64 i = 0; i < record.count; ++i) {
            ChallengeBase.Proof memory proof = proofOf(dataset, i);
            ChallengeBase.Proof memory next = proofOf(dataset, (i + 1) % record.count);
            bytes[7] memory calls = [
                abi.encodeCall(challenges.challengeSignature, (record, proof, secp.key)),
                abi.encodeCall(challenges.challengeSignature, (record, proof, p256.key)),
                abi.encodeCall(challenges.challengeRealm, (record, proof)),
                abi.encodeCall(challenges.challengeUnregistered, (record, proof)),
                abi.encodeCall(challenges.challengeRevoked, (record, proof)),
                abi.encodeCall(challenges.challengeTime, (record, proof)),
                abi.encodeCall(challenges.challengeOverlap, (record, proof, record, next))
            ];
            VM.startPrank(CHALLENGER);
            for (uint256 c = 0; c < calls.length; ++c) {
                (bool done,) = address(challenges).call(calls[c]);
                if (done) count(which);
            }
            VM.stopPrank();
        }
    }

    /// @dev Any two datasets of the log.
    function overlap(uint256 a, uint256 b, uint64 i, uint64 j) external onTime {
        if (_datasets.length == 0) return;
        (a, b) = (a % _datasets.length, b % _datasets.length);
        Dataset memory one = _datasets[a];
        Dataset memory two = _datasets[b];
        ChallengeBase.Proof memory first = proofOf(one, i % one.record.count);
        ChallengeBase.Proof memory second = proofOf(two, j % two.record.count);
        VM.startPrank(CHALLENGER);
        try challenges.challengeOverlap(one.record, first, two.record, second) {
            count(a);
        } catch {}
        VM.stopPrank();
    }

    function ask(uint256 which, uint64 index) external onTime {
        if (_datasets.length == 0) return;
        Dataset memory dataset = _datasets[which % _datasets.length];
        VM.deal(CHALLENGER, CHALLENGER.balance + DEPOSIT);
        VM.prank(CHALLENGER);
        try challenges.askForEntry{value: DEPOSIT}(dataset.record, index % dataset.record.count) {
            questionsPaid += DEPOSIT;
            // The publisher answers for what is honest at once; of the rest nothing is shown.
            if (_isBad[which % _datasets.length]) return;
            ChallengeBase.Proof memory proof = proofOf(dataset, index % dataset.record.count);
            VM.prank(HELPER);
            try challenges.showEntry(dataset.record, proof) {}
            catch {
                isHonestSlashed = true;
            }
        } catch {}
    }

    function settle(uint256 which, uint64 index) external onTime {
        if (_datasets.length == 0) return;
        which = which % _datasets.length;
        Dataset memory dataset = _datasets[which];
        uint8 before = statusOf(dataset.record);
        try challenges.settleWithheld(dataset.record, index % dataset.record.count) {
            if (before != 3) count(which);
        } catch {}
    }

    function takeDeposits() external onTime {
        address[2] memory accounts = [CHALLENGER, HELPER];
        for (uint256 i = 0; i < 2; ++i) {
            VM.prank(accounts[i]);
            try challenges.takeDeposit(payable(accounts[i])) returns (uint256 amount) {
                depositsTaken += amount;
            } catch {}
        }
    }

    function finalise(uint256 which) external onTime {
        if (_datasets.length == 0) return;
        Dataset memory dataset = _datasets[which % _datasets.length];
        VM.prank(OPERATOR);
        try datasetForge.finalise(dataset.record, params()) {} catch {}
    }

    /// @dev A gateway knows of a revocation before it receives more. What it received before is
    /// never a fault.
    function revoke(bool which) external onTime {
        if (_now < START + 20 days) return;
        VM.prank(OPERATOR);
        registry.revoke(address(idao), which ? secp.id : p256.id);
        _isRevoked[which] = true;
    }

    function count(uint256 which) private {
        ++slices;
        if (!_isBad[which]) isHonestSlashed = true;
    }

    function check() external view {
        (uint256 amount, uint256 requested,) = datasetForge.bondOf(address(idao));
        uint256 held = amount + datasetForge.burnt() + datasetForge.rewardOf(CHALLENGER);
        eq(deposited, held + withdrawn + rewardsTaken, "deposits = bond, burnt, rewards, withdrawn");
        eq(address(datasetForge).balance, held, "and the coin is there");
        ok(requested <= amount, "no more is asked back than is there");
        uint256 lost = datasetForge.burnt() + datasetForge.rewardOf(CHALLENGER) + rewardsTaken;
        ok(lost <= slices * SLICE, "a slice for each fault at most");
        ok(datasetForge.burnt() * 2 >= lost, "at least half is burnt");
        ok(!isHonestSlashed, "honest datasets are never slashed");
        eq(
            address(challenges).balance,
            questionsPaid - depositsTaken,
            "deposits that are not taken"
        );
    }
}

contract ChallengeInvariantsTest is Bonded {
    Players private players;

    function setUp() public override {
        players = new Players();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(players);
    }

    /// @dev The moves do reach what the invariant is about.
    function test_players_slash_what_is_bad_and_nothing_else() public {
        players.commit_(4);
        players.commit_(3);
        players.commit_(5);
        players.ask(1, 2);
        players.ask(2, 0);
        for (uint256 i = 0; i < 3; ++i) {
            players.challenge(i);
        }
        // A high S; and a range signed again by another device is no overlap.
        eq(players.slices(), 1, "the high S");
        players.wait_(5);
        players.settle(2, 0);
        eq(players.slices(), 2, "the withheld entry");
        players.takeReward();
        players.takeDeposits();
        players.requestBond(type(uint256).max);
        players.wait_(5);
        players.wait_(5);
        players.takeBond();
        players.check();
        ok(players.withdrawn() > 0 && players.rewardsTaken() > 0, "and coin moves");
    }

    function invariant_bonds_are_accounted_for_and_honest_ones_are_whole() public view {
        players.check();
    }
}

/// @dev Random honest datasets against every challenge of one and two entries.
contract HonestDatasetsTest is Bonded {
    function testFuzz_nothing_convicts_an_honest_dataset(uint256 seed) public {
        // Random bits are cut to the widths of their fields.
        // forge-lint: disable-start(unsafe-typecast)
        uint64 size = 1 + uint64(seed) % 5;
        bytes[] memory entries = new bytes[](size);
        uint64 first = uint64(seed >> 8) >> 12;
        uint64 minTime = type(uint64).max;
        uint64 maxTime = 0;
        for (uint256 i = 0; i < size; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            Fields memory f = fields(secp, first);
            f.session = bytes16(uint128(random % 2));
            f.stream = uint32(random >> 8) % 2;
            f.count = 1 + uint32(random >> 16) % 1024;
            f.timeBase = uint8(random >> 40) % 2;
            f.minTime = uint64(random >> 48) % RECEIVED;
            f.maxTime = f.minTime + uint64(random >> 112) % (RECEIVED - f.minTime);
            first += f.count;
            // forge-lint: disable-end(unsafe-typecast)
            if (f.timeBase == 1) {
                if (f.minTime < minTime) minTime = f.minTime;
                if (f.maxTime > maxTime) maxTime = f.maxTime;
            }
            bytes memory text = statement(f);
            entries[i] = entryOf(text, signature(secp, text), RECEIVED);
        }
        Dataset memory dataset = Dataset(recordOf(0, entries), entries);
        if (maxTime != 0) (dataset.record.minTime, dataset.record.maxTime) = (minTime, maxTime);
        VM.prank(OPERATOR);
        datasetForge.commit(dataset.record);
        for (uint64 i = 0; i < size; ++i) {
            accuse(dataset, proofOf(dataset, i), proofOf(dataset, (i + 1) % size));
        }
        untouched(dataset);
    }

    function accuse(
        Dataset memory dataset,
        ChallengeBase.Proof memory proof,
        ChallengeBase.Proof memory next
    ) private {
        DatasetForge.Record memory record = dataset.record;
        bytes[6] memory calls = [
            abi.encodeCall(challenges.challengeSignature, (record, proof, secp.key)),
            abi.encodeCall(challenges.challengeRealm, (record, proof)),
            abi.encodeCall(challenges.challengeUnregistered, (record, proof)),
            abi.encodeCall(challenges.challengeRevoked, (record, proof)),
            abi.encodeCall(challenges.challengeTime, (record, proof)),
            abi.encodeCall(challenges.challengeOverlap, (record, proof, record, next))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool done,) = address(challenges).call(calls[i]);
            ok(!done, "no challenge is upheld");
        }
    }
}
