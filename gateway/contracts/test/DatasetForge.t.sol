// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Chain} from "./Chain.sol";
import {DAT} from "../src/DAT.sol";
import {DatasetForge} from "../src/DatasetForge.sol";
import {IDAO} from "../src/IDAO.sol";
import {IDAT} from "../src/IDAT.sol";

contract DatasetForgeTest is Chain {
    function test_commit_stores_hash_and_status_and_tells_the_record() public {
        DatasetForge.Record memory record = recordAt(3);
        bytes32 expected = keccak256(abi.encode(address(idao), LOG, uint64(3)));
        VM.expectEmit(true, true, true, true, address(datasetForge));
        emit DatasetForge.DatasetCommitted(expected, address(idao), record.root, record);
        VM.prank(OPERATOR);
        eq(datasetForge.commit(record), expected, "key");
        (uint8 status, uint64 committedAt, uint256 tokenId, bytes32 recordHash) =
            datasetForge.statusOf(expected);
        eq(status, 1, "committed");
        eq(committedAt, 1_800_000_000, "block time");
        eq(tokenId, 0, "no token yet");
        eq(recordHash, keccak256(abi.encode(record)), "record hash");
    }

    function test_finalise_mints_once_to_the_idao() public {
        uint256 tokenId = forged(0);
        bytes32 key = datasetForge.keyOf(address(idao), LOG, 0);
        eq(tokenId, uint256(key), "id is the key");
        eq(dat.ownerOf(tokenId), address(idao), "owner");
        eq(dat.balanceOf(address(idao)), 1, "balance");
        eq(dat.valueOf(tokenId), 1_000_000, "quota");
        eq(dat.shareRatioOf(tokenId), 10_000, "shares");
        eq(dat.expireAtOf(tokenId), 0, "no expiry");
        eq(dat.classOf(tokenId), tokenId, "class");
        (, bytes32 integrityHash,,) = dat.getClassMeta(tokenId);
        eq(integrityHash, MANIFEST, "integrity hash");
        (uint8 status,, uint256 known,) = datasetForge.statusOf(key);
        eq(status, 2, "finalised");
        eq(known, tokenId, "token id");

        DatasetForge.Record memory record = recordAt(0);
        VM.expectRevert(
            abi.encodeWithSelector(DatasetForge.AlreadyFinalised.selector, key, tokenId)
        );
        VM.prank(OPERATOR);
        datasetForge.finalise(record, params());
        VM.expectRevert(
            abi.encodeWithSelector(
                DatasetForge.AlreadyCommitted.selector, key, keccak256(abi.encode(record))
            )
        );
        VM.prank(OPERATOR);
        datasetForge.commit(record);
    }

    function test_a_second_record_of_one_dataset_is_refused() public {
        DatasetForge.Record memory record = recordAt(0);
        VM.prank(OPERATOR);
        bytes32 key = datasetForge.commit(record);
        bytes32 known = keccak256(abi.encode(record));
        record.root = keccak256("other");
        VM.expectRevert(abi.encodeWithSelector(DatasetForge.AlreadyCommitted.selector, key, known));
        VM.prank(OPERATOR);
        datasetForge.commit(record);
        VM.expectRevert(
            abi.encodeWithSelector(
                DatasetForge.RecordDiffers.selector, key, known, keccak256(abi.encode(record))
            )
        );
        VM.prank(OPERATOR);
        datasetForge.finalise(record, params());
    }

    function test_strangers_neither_commit_nor_finalise() public {
        DatasetForge.Record memory record = recordAt(0);
        bytes memory refusal =
            abi.encodeWithSelector(DatasetForge.NotAuthorised.selector, address(idao), STRANGER);
        VM.expectRevert(refusal);
        VM.prank(STRANGER);
        datasetForge.commit(record);
        VM.prank(OPERATOR);
        datasetForge.commit(record);
        VM.expectRevert(refusal);
        VM.prank(STRANGER);
        datasetForge.finalise(record, params());

        DatasetForge.Record[] memory many = new DatasetForge.Record[](1);
        many[0] = recordAt(1);
        VM.expectRevert(refusal);
        VM.prank(STRANGER);
        datasetForge.commitMany(many);
        // The zero address has no code to ask.
        many[0].idao = address(0);
        VM.expectRevert();
        VM.prank(STRANGER);
        datasetForge.commitMany(many);
    }

    function test_only_the_owner_and_operators_of_this_idao() public {
        VM.prank(STRANGER);
        address other = factory.create(0, initParams(STRANGER));
        DatasetForge.Record[] memory many = new DatasetForge.Record[](2);
        many[0] = recordAt(0);
        many[1] = recordAt(1);
        many[1].idao = other;
        VM.expectRevert(
            abi.encodeWithSelector(DatasetForge.NotAuthorised.selector, other, OPERATOR)
        );
        VM.prank(OPERATOR);
        datasetForge.commitMany(many);
    }

    function test_a_limited_operator_commits_so_many_a_day() public {
        VM.prank(OWNER);
        idao.limitOperator(OPERATOR, 0, 3);
        DatasetForge.Record[] memory records = new DatasetForge.Record[](2);
        (records[0], records[1]) = (recordAt(0), recordAt(1));
        VM.startPrank(OPERATOR);
        datasetForge.commitMany(records);
        // What is there already is not counted again.
        datasetForge.commitMany(records);
        uint256 midnight = (block.timestamp / 1 days + 1) * 1 days;
        bytes memory refusal = abi.encodeWithSelector(
            DatasetForge.DailyLimit.selector, address(idao), OPERATOR, uint256(3), midnight
        );
        (records[0], records[1]) = (recordAt(2), recordAt(3));
        VM.expectRevert(refusal);
        datasetForge.commitMany(records);
        datasetForge.commit(recordAt(2));
        VM.expectRevert(refusal);
        datasetForge.commit(recordAt(3));
        VM.warp(midnight - 1);
        VM.expectRevert(refusal);
        datasetForge.commit(recordAt(3));
        VM.warp(midnight);
        datasetForge.commit(recordAt(3));
        // Finishing what is on chain is not limited.
        for (uint64 index = 0; index < 4; ++index) {
            datasetForge.finalise(recordAt(index), params());
        }
        VM.stopPrank();
        // The owner, and another operator, have days of their own.
        VM.startPrank(OWNER);
        for (uint64 index = 4; index < 12; ++index) {
            datasetForge.commit(recordAt(index));
        }
        idao.limitOperator(STRANGER, uint40(block.timestamp), 1);
        VM.stopPrank();
        VM.startPrank(STRANGER);
        datasetForge.commit(recordAt(12));
        VM.warp(block.timestamp + 2 days);
        DatasetForge.Record memory late = recordAt(13);
        VM.expectRevert(
            abi.encodeWithSelector(DatasetForge.NotAuthorised.selector, address(idao), STRANGER)
        );
        datasetForge.commit(late);
        VM.stopPrank();
    }

    function test_gas_sixteen_datasets_of_a_limited_operator() public {
        VM.prank(OWNER);
        idao.limitOperator(OPERATOR, 0, 1_000);
        forgeSixteen();
    }

    function test_the_future_waits() public {
        DatasetForge.Record memory record = recordAt(0);
        record.maxTime = 1_800_000_000_000_001;
        VM.expectRevert(
            abi.encodeWithSelector(
                DatasetForge.TimeInFuture.selector,
                1_800_000_000_000_001,
                uint256(1_800_000_000_000_000)
            )
        );
        VM.prank(OPERATOR);
        datasetForge.commit(record);
        record.maxTime = 1_800_000_000_000_000;
        VM.prank(OPERATOR);
        datasetForge.commit(record);
    }

    function test_malformed_records_are_refused() public {
        for (uint256 i = 0; i < 3; ++i) {
            DatasetForge.Record memory record = recordAt(0);
            if (i == 0) record.count = 0;
            if (i == 1) record.root = 0;
            if (i == 2) record.minTime = record.maxTime + 1;
            VM.expectRevert(DatasetForge.MalformedRecord.selector);
            VM.prank(OPERATOR);
            datasetForge.commit(record);
        }
    }

    function test_an_unknown_gateway_is_refused() public {
        DatasetForge.Record memory record = recordAt(0);
        record.gateway = keccak256("nobody");
        VM.expectRevert(
            abi.encodeWithSelector(
                DatasetForge.GatewayNotRegistered.selector, record.gateway, address(idao)
            )
        );
        VM.prank(OPERATOR);
        datasetForge.commit(record);
    }

    function test_an_unknown_gateway_is_refused_anywhere_in_a_bundle() public {
        for (uint256 i = 0; i < 2; ++i) {
            DatasetForge.Record[] memory records = new DatasetForge.Record[](2);
            (records[0], records[1]) = (recordAt(0), recordAt(1));
            records[i].gateway = keccak256("nobody");
            VM.expectRevert(
                abi.encodeWithSelector(
                    DatasetForge.GatewayNotRegistered.selector, records[i].gateway, address(idao)
                )
            );
            VM.prank(OPERATOR);
            datasetForge.commitMany(records);
        }
    }

    function test_finalise_needs_a_commit() public {
        DatasetForge.Record memory record = recordAt(0);
        bytes32 key = datasetForge.keyOf(address(idao), LOG, 0);
        VM.expectRevert(abi.encodeWithSelector(DatasetForge.NotCommitted.selector, key));
        VM.prank(OPERATOR);
        datasetForge.finalise(record, params());
    }

    function test_the_window_is_kept_to_the_second() public {
        deploy(DatasetForge.Terms(3600, 0, 0, 0));
        VM.prank(STRANGER);
        idao = IDAO(payable(factory.create(0, initParams(STRANGER))));
        VM.prank(STRANGER);
        gateway = registry.register(address(idao), gatewayKey());
        DatasetForge.Record memory record = recordAt(0);
        VM.prank(STRANGER);
        bytes32 key = datasetForge.commit(record);
        VM.warp(1_800_003_599);
        VM.expectRevert(
            abi.encodeWithSelector(DatasetForge.WindowOpen.selector, key, uint256(1_800_003_600))
        );
        VM.prank(STRANGER);
        datasetForge.finalise(record, params());
        VM.warp(1_800_003_600);
        VM.prank(STRANGER);
        datasetForge.finalise(record, params());
    }

    function test_a_zero_window_is_for_local_chains() public {
        address dat_ = address(dat);
        VM.chainId(1088);
        VM.expectRevert(abi.encodeWithSelector(DatasetForge.WindowTooShort.selector, uint256(1088)));
        new DatasetForge(
            DAT(dat_),
            registry,
            address(challenges),
            DatasetForge.Terms(0, 7 days, 1 ether, 1 ether)
        );
    }

    function test_a_forge_refuses_a_foreign_dat() public {
        VM.expectRevert(abi.encodeWithSelector(DatasetForge.WrongDat.selector, address(dat)));
        new DatasetForge(dat, registry, address(challenges), terms());
    }

    function test_many_commits_pass_over_what_is_there() public {
        DatasetForge.Record[] memory records = new DatasetForge.Record[](3);
        for (uint64 i = 0; i < 3; ++i) {
            records[i] = recordAt(i);
        }
        VM.startPrank(OPERATOR);
        datasetForge.commit(records[1]);
        datasetForge.commitMany(records);
        datasetForge.finalise(records[0], params());
        IDAT.DatParams[] memory all = new IDAT.DatParams[](3);
        for (uint64 i = 0; i < 3; ++i) {
            all[i] = params();
        }
        datasetForge.finaliseMany(records, all);
        VM.stopPrank();
        eq(dat.balanceOf(address(idao)), 3, "one token each");

        records[2].root = keccak256("other");
        bytes32 key = datasetForge.keyOf(address(idao), LOG, 2);
        VM.expectRevert(
            abi.encodeWithSelector(
                DatasetForge.AlreadyCommitted.selector, key, keccak256(abi.encode(recordAt(2)))
            )
        );
        VM.prank(OPERATOR);
        datasetForge.commitMany(records);

        IDAT.DatParams[] memory fewer = new IDAT.DatParams[](2);
        VM.expectRevert(abi.encodeWithSelector(DatasetForge.LengthsDiffer.selector, 3, 2));
        VM.prank(OPERATOR);
        datasetForge.finaliseMany(records, fewer);
    }

    function testFuzz_keys_do_not_meet(bytes16 a, uint64 i, bytes16 b, uint64 j) public view {
        VM.assume(a != b || i != j);
        ok(
            datasetForge.keyOf(address(idao), a, i) != datasetForge.keyOf(address(idao), b, j),
            "distinct"
        );
    }

    // Gas of the ways that a dataset takes; figures are in .gas-snapshot.

    function test_gas_one_dataset() public {
        forged(7);
    }

    function test_gas_sixteen_datasets() public {
        forgeSixteen();
    }

    function forgeSixteen() private {
        DatasetForge.Record[] memory records = new DatasetForge.Record[](16);
        IDAT.DatParams[] memory all = new IDAT.DatParams[](16);
        for (uint64 i = 0; i < 16; ++i) {
            records[i] = recordAt(i);
            all[i] = params();
        }
        VM.startPrank(OPERATOR);
        datasetForge.commitMany(records);
        datasetForge.finaliseMany(records, all);
        VM.stopPrank();
        eq(dat.balanceOf(address(idao)), 16, "tokens");
    }
}
