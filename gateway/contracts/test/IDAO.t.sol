// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Chain} from "./Chain.sol";
import {ERC1155Mint, Refuser} from "./Helpers.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {IDAO} from "../src/IDAO.sol";
import {IDAOFactory} from "../src/IDAOFactory.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";

contract IDAOTest is Chain {
    function test_create_lands_where_predicted() public view {
        eq(factory.predict(OWNER, bytes32(uint256(1))), address(idao), "address");
        eq(idao.owner(), OWNER, "owner");
        eq(idao.name(), "demo", "name");
        eq(idao.description(), "a demo iDAO", "description");
        eq(idao.version(), 1, "version");
        eq(idao.token(), address(0), "token");
        eq(idao.verifiedComputing(), address(0), "verifiedComputing");
        eq(idao.settlement(), address(0), "settlement");
    }

    function test_the_first_creation_of_the_factory_is_the_implementation() public view {
        eq(factory.implementation(), VM.computeCreateAddress(address(factory), 1), "nonce 1");
    }

    function test_nobody_creates_for_another_owner() public {
        VM.expectRevert(
            abi.encodeWithSelector(IDAOFactory.OwnerMustCreate.selector, OWNER, STRANGER)
        );
        VM.prank(STRANGER);
        factory.create(bytes32(uint256(2)), initParams(OWNER));
    }

    function testFuzz_another_owner_gets_another_address(address other, bytes32 salt) public view {
        VM.assume(other != OWNER);
        ok(factory.predict(other, salt) != factory.predict(OWNER, salt), "salt binds the owner");
    }

    function test_create_twice_reverts() public {
        VM.expectRevert();
        VM.prank(OWNER);
        factory.create(bytes32(uint256(1)), initParams(OWNER));
    }

    function test_initialize_runs_once_and_never_on_the_implementation() public {
        VM.expectRevert(Initializable.InvalidInitialization.selector);
        idao.initialize(initParams(STRANGER));
        IDAO implementation = IDAO(payable(factory.implementation()));
        VM.expectRevert(Initializable.InvalidInitialization.selector);
        implementation.initialize(initParams(STRANGER));
    }

    function test_only_the_owner_sets_operators() public {
        VM.expectRevert(abi.encodeWithSelector(IDAO.NotOwner.selector, OPERATOR));
        VM.prank(OPERATOR);
        idao.setOperator(STRANGER, true);
        ok(idao.canForge(OPERATOR) && idao.canForge(OWNER), "both forge");
        ok(!idao.canForge(STRANGER) && !idao.canForge(address(0)), "nobody else");
        VM.prank(OWNER);
        idao.setOperator(OPERATOR, false);
        ok(!idao.canForge(OPERATOR), "withdrawn");
    }

    function test_an_operator_is_limited_in_time_and_number() public {
        uint40 until = uint40(block.timestamp + 30 days);
        VM.prank(OWNER);
        idao.limitOperator(STRANGER, until, 5);
        (bool allowed, uint32 perDay) = idao.forgeRight(STRANGER);
        ok(allowed && perDay == 5 && idao.canRegister(STRANGER), "limited");
        VM.warp(until);
        ok(idao.isOperator(STRANGER) && idao.canForge(STRANGER), "in its last second");
        VM.warp(until + 1);
        (allowed,) = idao.forgeRight(STRANGER);
        ok(!allowed && !idao.canForge(STRANGER) && !idao.isOperator(STRANGER), "over");
        ok(!idao.canRegister(STRANGER), "registers no more either");
        ok(idao.operatorOf(STRANGER).allowed, "what was allowed is told");
        (allowed, perDay) = idao.forgeRight(OWNER);
        ok(allowed && perDay == 0, "the owner has no limit");

        VM.expectRevert(abi.encodeWithSelector(IDAO.UntilInPast.selector, until));
        VM.prank(OWNER);
        idao.limitOperator(STRANGER, until, 5);
        VM.prank(OWNER);
        idao.setOperator(STRANGER, true);
        (allowed, perDay) = idao.forgeRight(STRANGER);
        ok(allowed && perDay == 0, "without limit again");
        VM.expectRevert(abi.encodeWithSelector(IDAO.NotOwner.selector, STRANGER));
        VM.prank(STRANGER);
        idao.limitOperator(STRANGER, 0, 0);
    }

    function test_members_do_what_their_roles_allow() public {
        address registrar = address(0x1);
        address licensor = address(0x2);
        address treasurer = address(0x3);
        address member = address(0x4);
        VM.startPrank(OWNER);
        idao.setRoles(registrar, 2);
        idao.setRoles(licensor, 4);
        idao.setRoles(treasurer, 8);
        idao.setRoles(member, 1);
        VM.stopPrank();
        uint256 classId = forged(0);
        VM.deal(address(idao), 3 ether);

        VM.prank(registrar);
        registry.register(
            address(idao), DeviceRegistry.Key(1, 1, abi.encodePacked(hex"02", keccak256("a car")))
        );
        VM.prank(licensor);
        uint256 licence = idao.issueLicence(dat, classId, STRANGER, 7, 0);
        eq(dat.ownerOf(licence), STRANGER, "licence");
        eq(dat.valueOf(licence), 7, "quota");
        VM.prank(treasurer);
        idao.pay(payable(STRANGER), 1 ether);
        eq(STRANGER.balance, 1 ether, "paid");

        address[4] memory all = [registrar, licensor, treasurer, member];
        for (uint256 i = 0; i < all.length; ++i) {
            ok(!idao.canForge(all[i]), "no member forges");
            ok(idao.canRegister(all[i]) == (all[i] == registrar), "only a registrar registers");
            VM.startPrank(all[i]);
            if (all[i] != licensor) {
                VM.expectRevert(abi.encodeWithSelector(IDAO.RoleNeeded.selector, all[i], uint8(4)));
                idao.issueLicence(dat, classId, STRANGER, 7, 0);
            }
            if (all[i] != treasurer) {
                VM.expectRevert(abi.encodeWithSelector(IDAO.RoleNeeded.selector, all[i], uint8(8)));
                idao.pay(payable(all[i]), 1);
            }
            VM.expectRevert(abi.encodeWithSelector(IDAO.NotOwner.selector, all[i]));
            idao.setRoles(all[i], 15);
            VM.expectRevert(abi.encodeWithSelector(IDAO.NotOwner.selector, all[i]));
            idao.execute(all[i], 1, "");
            VM.stopPrank();
        }

        VM.startPrank(OWNER);
        idao.issueLicence(dat, classId, STRANGER, 1, 0);
        idao.pay(payable(STRANGER), 1 ether);
        idao.setRoles(treasurer, 0);
        VM.expectRevert(abi.encodeWithSelector(IDAO.UnknownRoles.selector, uint8(16)));
        idao.setRoles(treasurer, 16);
        VM.expectRevert(IDAO.ZeroAddress.selector);
        idao.setRoles(address(0), 1);
        VM.stopPrank();
        VM.expectRevert(abi.encodeWithSelector(IDAO.RoleNeeded.selector, treasurer, uint8(8)));
        VM.prank(treasurer);
        idao.pay(payable(treasurer), 1 ether);
    }

    function test_an_operator_cannot_execute() public {
        VM.expectRevert(abi.encodeWithSelector(IDAO.NotOwner.selector, OPERATOR));
        VM.prank(OPERATOR);
        idao.execute(STRANGER, 0, "");
    }

    function test_execute_pays_and_calls_and_passes_the_reason_on() public {
        VM.deal(address(idao), 3 ether);
        VM.prank(OWNER);
        idao.execute(STRANGER, 1 ether, "");
        eq(STRANGER.balance, 1 ether, "paid");

        Refuser refuser = new Refuser();
        VM.expectRevert(abi.encodeWithSelector(Refuser.Refused.selector, 7));
        VM.prank(OWNER);
        idao.execute(address(refuser), 0, abi.encodeCall(Refuser.refuse, (7)));

        VM.expectRevert(abi.encodeWithSelector(IDAO.TargetHasNoCode.selector, STRANGER));
        VM.prank(OWNER);
        idao.execute(STRANGER, 0, hex"01");
    }

    function test_receives_coin_erc721_and_erc1155() public {
        VM.deal(address(this), 1 ether);
        (bool sent,) = address(idao).call{value: 1 ether}("");
        ok(sent, "coin");

        ERC1155Mint multi = new ERC1155Mint();
        multi.mint(address(idao), 1, 5);
        eq(multi.balanceOf(address(idao), 1), 5, "ERC-1155");

        uint256 tokenId = forged(0);
        asIdao(
            address(dat),
            abi.encodeWithSignature(
                "safeTransferFrom(address,address,uint256)", idao, idao, tokenId
            )
        );
        eq(dat.ownerOf(tokenId), address(idao), "ERC-721 with callback");
    }

    function test_ownership_moves_in_two_steps() public {
        VM.prank(OWNER);
        idao.transferOwnership(STRANGER);
        eq(idao.owner(), OWNER, "not yet");
        VM.expectRevert(abi.encodeWithSelector(IDAO.NotPendingOwner.selector, OPERATOR));
        VM.prank(OPERATOR);
        idao.acceptOwnership();
        VM.prank(STRANGER);
        idao.acceptOwnership();
        eq(idao.owner(), STRANGER, "moved");
        eq(idao.pendingOwner(), address(0), "done");
    }

    function test_a_signature_of_the_owner_is_one_of_the_idao() public {
        uint256 key = 0xC0FFEE;
        address signer = VM.addr(key);
        VM.prank(signer);
        IDAO own = IDAO(payable(factory.create(bytes32(0), initParams(signer))));
        bytes32 digest = keccak256("message");
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(key, digest);
        bytes memory signature = abi.encodePacked(r, s, v);
        eq(uint32(own.isValidSignature(digest, signature)), 0x1626ba7e, "valid");
        eq(uint32(own.isValidSignature(keccak256("x"), signature)), 0xffffffff, "other message");
        eq(uint32(own.isValidSignature(digest, hex"00")), 0xffffffff, "no signature");
        eq(uint32(idao.isValidSignature(digest, signature)), 0xffffffff, "other owner");

        // An iDAO owned by an iDAO asks its owner.
        VM.prank(signer);
        bytes memory created = own.execute(
            address(factory),
            0,
            abi.encodeCall(IDAOFactory.create, (bytes32(0), initParams(address(own))))
        );
        IDAO nested = IDAO(payable(abi.decode(created, (address))));
        eq(uint32(nested.isValidSignature(digest, signature)), 0x1626ba7e, "nested");
    }
}
