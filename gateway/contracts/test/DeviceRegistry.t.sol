// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Chain} from "./Chain.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {IDAO} from "../src/IDAO.sol";

contract DeviceRegistryTest is Chain {
    bytes private constant POINT =
        hex"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    function device(bytes memory publicKey) private pure returns (DeviceRegistry.Key memory) {
        return DeviceRegistry.Key(1, 1, publicKey);
    }

    function test_an_id_is_the_hash_of_multicodec_and_key() public view {
        bytes memory ed = hex"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        eq(registry.idOf(1, POINT), sha256(abi.encodePacked(hex"e701", POINT)), "secp256k1");
        eq(registry.idOf(2, POINT), sha256(abi.encodePacked(hex"8024", POINT)), "P-256");
        eq(registry.idOf(3, ed), sha256(abi.encodePacked(hex"ed01", ed)), "Ed25519");
    }

    function test_malformed_keys_are_refused() public {
        bytes memory uncompressed = abi.encodePacked(hex"04", keccak256("x"));
        VM.expectRevert(
            abi.encodeWithSelector(DeviceRegistry.MalformedKey.selector, 1, uncompressed)
        );
        registry.idOf(1, uncompressed);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.MalformedKey.selector, 3, POINT));
        registry.idOf(3, POINT);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.MalformedKey.selector, 2, hex"02"));
        registry.idOf(2, hex"02");
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.MalformedKey.selector, 2, ""));
        registry.idOf(2, "");
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.UnknownKeyType.selector, 4));
        registry.idOf(4, POINT);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.UnknownKeyType.selector, 0));
        registry.idOf(0, POINT);
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.UnknownKind.selector, 3));
        VM.prank(OPERATOR);
        registry.register(address(idao), DeviceRegistry.Key(1, 3, POINT));
    }

    function test_register_keeps_block_time_and_is_idempotent() public {
        VM.prank(OPERATOR);
        bytes32 id = registry.register(address(idao), device(POINT));
        VM.warp(1_800_000_500);
        VM.prank(OWNER);
        eq(registry.register(address(idao), device(POINT)), id, "same id");
        DeviceRegistry.Record memory record = registry.recordOf(address(idao), id);
        eq(record.idao, address(idao), "idao");
        eq(record.registeredAt, 1_800_000_000, "first time stays");
        eq(record.revokedAt, 0, "not revoked");
        eq(record.keyType, 1, "key type");
        eq(record.kind, 1, "kind");
        eq(record.attestationLevel, 0, "nothing proven");
    }

    function test_many_at_once() public {
        DeviceRegistry.Key[] memory keys = new DeviceRegistry.Key[](3);
        keys[0] = device(POINT);
        keys[1] = DeviceRegistry.Key(3, 1, abi.encodePacked(keccak256("ed")));
        keys[2] = device(POINT);
        VM.prank(OPERATOR);
        registry.registerMany(address(idao), keys);
        eq(registry.recordOf(address(idao), registry.idOf(1, POINT)).idao, address(idao), "first");
        eq(
            registry.recordOf(address(idao), registry.idOf(3, keys[1].publicKey)).keyType,
            3,
            "second"
        );
    }

    function test_strangers_register_and_revoke_nothing() public {
        VM.expectRevert(
            abi.encodeWithSelector(DeviceRegistry.NotAuthorised.selector, address(idao), STRANGER)
        );
        VM.prank(STRANGER);
        registry.register(address(idao), device(POINT));
        VM.expectRevert(
            abi.encodeWithSelector(DeviceRegistry.NotAuthorised.selector, address(idao), STRANGER)
        );
        VM.prank(STRANGER);
        registry.revoke(address(idao), gateway);
    }

    function test_whoever_registers_a_key_first_keeps_it_from_nobody() public {
        VM.prank(STRANGER);
        address other = factory.create(0, initParams(STRANGER));
        VM.startPrank(STRANGER);
        bytes32 id = registry.register(other, device(POINT));
        registry.revoke(other, id);
        VM.stopPrank();
        ok(registry.recordOf(address(idao), id).idao == address(0), "not the iDAO's");
        VM.prank(OPERATOR);
        registry.register(address(idao), device(POINT));
        DeviceRegistry.Record memory record = registry.recordOf(address(idao), id);
        eq(record.idao, address(idao), "its own");
        eq(record.revokedAt, 0, "not theirs to revoke");
        eq(registry.recordOf(other, id).retirement, 1, "theirs is theirs");
    }

    function test_a_key_keeps_its_kind() public {
        VM.prank(OPERATOR);
        bytes32 id = registry.register(address(idao), device(POINT));
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.KindDiffers.selector, id, 1));
        VM.prank(OPERATOR);
        registry.register(address(idao), DeviceRegistry.Key(1, 2, POINT));
    }

    function test_revoked_is_for_good() public {
        VM.prank(OPERATOR);
        bytes32 id = registry.register(address(idao), device(POINT));
        VM.warp(1_800_000_100);
        VM.prank(OPERATOR);
        registry.revoke(address(idao), id);
        VM.warp(1_800_000_200);
        VM.prank(OPERATOR);
        registry.revoke(address(idao), id);
        eq(registry.recordOf(address(idao), id).revokedAt, 1_800_000_100, "first revocation stays");
        eq(registry.recordOf(address(idao), id).registeredAt, 1_800_000_000, "registration stays");
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.Revoked.selector, id));
        VM.prank(OPERATOR);
        registry.register(address(idao), device(POINT));
        VM.expectRevert(abi.encodeWithSelector(DeviceRegistry.NotRegistered.selector, bytes32(0)));
        VM.prank(OPERATOR);
        registry.revoke(address(idao), 0);
    }

    function test_gateways_are_told_from_devices() public {
        VM.prank(OPERATOR);
        bytes32 id = registry.register(address(idao), device(POINT));
        ok(registry.isGatewayOf(gateway, address(idao)), "gateway");
        ok(!registry.isGatewayOf(id, address(idao)), "device");
        ok(!registry.isGatewayOf(gateway, STRANGER), "other iDAO");
        ok(!registry.isGatewayOf(bytes32(0), address(0)), "nothing");
        VM.prank(OPERATOR);
        registry.revoke(address(idao), gateway);
        ok(registry.isGatewayOf(gateway, address(idao)), "was a gateway");
    }

    function testFuzz_fields_do_not_touch(bytes32 x, uint32 registeredAt, uint32 later) public {
        VM.assume(registeredAt > 0);
        VM.warp(registeredAt);
        VM.prank(OPERATOR);
        bytes memory key = abi.encodePacked(hex"03", x);
        bytes32 id = registry.register(address(idao), DeviceRegistry.Key(2, 1, key));
        VM.warp(uint256(registeredAt) + later);
        VM.prank(OPERATOR);
        registry.revoke(address(idao), id);
        DeviceRegistry.Record memory record = registry.recordOf(address(idao), id);
        eq(record.idao, address(idao), "idao");
        eq(record.registeredAt, registeredAt, "registeredAt");
        eq(record.revokedAt, uint256(registeredAt) + later, "revokedAt");
        eq(record.keyType, 2, "key type");
        eq(record.kind, 1, "kind");
    }
}
