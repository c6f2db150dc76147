// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Chain} from "./Chain.sol";
import {FeeToken, GreedyClaimer, ReentrantToken, Refuser} from "./Helpers.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

import {DAT} from "../src/DAT.sol";
import {IDAT} from "../src/IDAT.sol";
import {IDATCore} from "../src/IDATCore.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

contract DATTest is Chain {
    address private constant BUYER = address(0xB01);
    address private constant METER = address(0x3E7E2);
    bytes32 private constant CALLS = keccak256("inference_calls");
    address private constant COIN = address(0);

    uint256 private classId;

    function setUp() public override {
        super.setUp();
        classId = forged(0);
        VM.deal(address(this), 1000 ether);
    }

    function licence(address to, uint256 value, uint64 expireAt) private returns (uint256) {
        return abi.decode(
            asIdao(address(dat), abi.encodeCall(IDATCore.mint, (classId, to, value, 0, expireAt))),
            (uint256)
        );
    }

    // -------------------------------------------------------------------------------- interface

    function test_interface_id_is_the_drafts() public view {
        eq(uint32(type(IDATCore).interfaceId), 0x2c0b686c, "XOR of 19 selectors");
        ok(dat.supportsInterface(0x2c0b686c), "ERC-8028");
        ok(dat.supportsInterface(0x01ffc9a7), "ERC-165");
        ok(dat.supportsInterface(0x80ac58cd), "ERC-721");
        ok(dat.supportsInterface(0x5b5e139f), "ERC-721 metadata");
        ok(!dat.supportsInterface(0xffffffff), "never");
    }

    function test_selectors_are_the_drafts() public pure {
        eq(uint32(IDATCore.createClass.selector), 0xe0fc0eca, "createClass");
        eq(uint32(IDATCore.mint.selector), 0x741e3723, "mint");
        eq(uint32(IDATCore.recordUsage.selector), 0x48904648, "recordUsage");
        eq(uint32(IDATCore.settleRevenueETH.selector), 0x8ccd0350, "settleRevenueETH");
        eq(uint32(IDATCore.settleRevenueERC20.selector), 0x90f1e29d, "settleRevenueERC20");
        eq(uint32(IDATCore.claim.selector), 0x2cd1b113, "claim");
        eq(uint32(IDATCore.transferValue.selector), 0x54e26179, "transferValue");
        eq(uint32(IDATCore.transferToken.selector), 0xbad42590, "transferToken");
        eq(uint32(IDATCore.pendingRevenue.selector), 0xbb0bc514, "pendingRevenue");
        eq(uint32(IDATCore.getClassMeta.selector), 0x0a4fda67, "getClassMeta");
    }

    // ---------------------------------------------------------------------------- forging, classes

    function test_only_the_forge_makes_classes() public {
        VM.expectRevert(abi.encodeWithSelector(DAT.OnlyForge.selector, OWNER));
        VM.prank(OWNER);
        dat.forgeDataset(keccak256("x"), OWNER, MANIFEST, params());
        VM.expectRevert(DAT.ClassIsDataset.selector);
        dat.createClass("", MANIFEST, 0, "");
    }

    function test_texts_of_a_class() public {
        IDAT.DatParams memory datParams = params();
        datParams.metadataURI = "ipfs://meta";
        datParams.policyURI = "ipfs://policy";
        datParams.shareRatio = 100_000;
        uint256 other = forged(1, datParams);
        (string memory meta, bytes32 hash, uint8 decimals, string memory policy) =
            dat.getClassMeta(other);
        eq(meta, "ipfs://meta", "metadata");
        eq(hash, MANIFEST, "hash");
        eq(decimals, 0, "decimals");
        eq(policy, "ipfs://policy", "policy");
        eq(dat.tokenURI(other), "ipfs://meta", "token URI");
        eq(dat.shareRatioOf(other), 65_535, "saturates as the draft asks");

        asIdao(
            address(dat),
            abi.encodeCall(IDATCore.updateClassMetadata, (other, "ipfs://new", MANIFEST))
        );
        asIdao(address(dat), abi.encodeCall(IDATCore.updateClassPolicy, (other, "ipfs://p2")));
        (meta,,, policy) = dat.getClassMeta(other);
        eq(meta, "ipfs://new", "updated");
        eq(policy, "ipfs://p2", "updated");

        VM.expectRevert(abi.encodeWithSelector(DAT.IntegrityHashIsFixed.selector, MANIFEST));
        asIdao(
            address(dat), abi.encodeCall(IDATCore.updateClassMetadata, (other, "", keccak256("y")))
        );
        VM.expectRevert(abi.encodeWithSelector(DAT.NotAuthorised.selector, other, STRANGER));
        VM.prank(STRANGER);
        dat.updateClassPolicy(other, "");
        VM.expectRevert(abi.encodeWithSelector(DAT.UnknownClass.selector, uint256(5)));
        dat.getClassMeta(5);
    }

    function test_one_base_says_where_the_metadata_of_all_datasets_is() public {
        uint256 plain = forged(1, params());
        IDAT.DatParams memory datParams = params();
        datParams.metadataURI = "ipfs://own";
        uint256 named = forged(2, datParams);
        eq(dat.tokenURI(plain), "", "none yet");
        asIdao(address(dat), abi.encodeCall(DAT.setMetadataBase, ("https://a.example/metadata/")));
        string memory expected =
            string.concat("https://a.example/metadata/", Strings.toString(plain), ".json");
        eq(dat.tokenURI(plain), expected, "base and id");
        (string memory meta,,,) = dat.getClassMeta(plain);
        eq(meta, expected, "class");
        eq(dat.tokenURI(named), "ipfs://own", "an own address counts more");
        // A stranger's base is for the stranger's datasets.
        VM.prank(STRANGER);
        dat.setMetadataBase("https://evil.example/");
        eq(dat.tokenURI(plain), expected, "not theirs");
        asIdao(address(dat), abi.encodeCall(DAT.setMetadataBase, ("")));
        eq(dat.tokenURI(plain), "", "taken back");
    }

    function test_attributes_are_bounded() public {
        IDAT.DatParams memory datParams = params();
        datParams.shareRatio = 0;
        expectForgeRevert(abi.encodeWithSelector(DAT.ShareRequired.selector), datParams);
        datParams = params();
        datParams.expireAt = 1_799_999_999;
        expectForgeRevert(
            abi.encodeWithSelector(DAT.ExpiryInPast.selector, datParams.expireAt), datParams
        );
        datParams = params();
        datParams.value = 2 ** 40;
        expectForgeRevert(
            abi.encodeWithSelector(DAT.ValueTooLarge.selector, datParams.value), datParams
        );
        datParams = params();
        datParams.expireAt = 2 ** 40;
        expectForgeRevert(
            abi.encodeWithSelector(DAT.ValueTooLarge.selector, uint256(2 ** 40)), datParams
        );
    }

    function expectForgeRevert(bytes memory reason, IDAT.DatParams memory datParams) private {
        VM.expectRevert(reason);
        VM.prank(address(datasetForge));
        dat.forgeDataset(keccak256("bounds"), OWNER, MANIFEST, datParams);
    }

    // ------------------------------------------------------------------------- ownership, licence

    function test_the_idao_issues_licences_without_share() public {
        uint256 tokenId = licence(BUYER, 100, 1_900_000_000);
        eq(dat.ownerOf(tokenId), BUYER, "owner");
        eq(dat.classOf(tokenId), classId, "class");
        eq(dat.valueOf(tokenId), 100, "quota");
        eq(dat.shareRatioOf(tokenId), 0, "no share");
        eq(dat.expireAtOf(tokenId), 1_900_000_000, "expiry");
        VM.expectRevert(abi.encodeWithSelector(DAT.SharesAreFixed.selector, uint256(1)));
        asIdao(address(dat), abi.encodeCall(IDATCore.mint, (classId, BUYER, 1, 1, 0)));
        VM.expectRevert(abi.encodeWithSelector(DAT.NotAuthorised.selector, classId, BUYER));
        VM.prank(BUYER);
        dat.mint(classId, BUYER, 1, 0, 0);
        // A licence is not a class.
        VM.expectRevert(abi.encodeWithSelector(DAT.UnknownClass.selector, tokenId));
        VM.prank(BUYER);
        dat.mint(tokenId, BUYER, 1, 0, 0);
    }

    function test_transfers_have_both_faces() public {
        uint256 tokenId = licence(BUYER, 100, 0);
        VM.expectEmit(true, true, true, true, address(dat));
        emit IERC721.Transfer(BUYER, STRANGER, tokenId);
        VM.expectEmit(true, true, true, true, address(dat));
        emit IDATCore.TransferToken(tokenId, BUYER, STRANGER);
        VM.prank(BUYER);
        dat.transferToken(tokenId, STRANGER);
        eq(dat.balanceOf(BUYER), 0, "gone");
        eq(dat.balanceOf(STRANGER), 1, "there");

        VM.prank(STRANGER);
        dat.approve(BUYER, tokenId);
        VM.prank(BUYER);
        dat.transferFrom(STRANGER, BUYER, tokenId);
        eq(dat.ownerOf(tokenId), BUYER, "back");
        eq(dat.getApproved(tokenId), address(0), "approval cleared");
        VM.expectRevert(
            abi.encodeWithSelector(
                IERC721Errors.ERC721InsufficientApproval.selector, STRANGER, tokenId
            )
        );
        VM.prank(STRANGER);
        dat.transferToken(tokenId, STRANGER);
        VM.expectRevert(
            abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(0))
        );
        VM.prank(BUYER);
        dat.transferToken(tokenId, address(0));
        VM.expectRevert(
            abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, uint256(99))
        );
        dat.transferToken(99, BUYER);
        VM.expectRevert(
            abi.encodeWithSelector(IERC721Errors.ERC721InvalidOwner.selector, address(0))
        );
        dat.balanceOf(address(0));
    }

    function test_transfer_keeps_the_attributes() public {
        uint256 tokenId = licence(BUYER, 100, 1_900_000_000);
        VM.prank(BUYER);
        dat.transferToken(tokenId, STRANGER);
        eq(dat.valueOf(tokenId), 100, "quota");
        eq(dat.expireAtOf(tokenId), 1_900_000_000, "expiry");
        eq(dat.classOf(tokenId), classId, "class");
    }

    function test_usage_is_a_hard_quota() public {
        uint256 tokenId = licence(BUYER, 100, 0);
        VM.expectEmit(true, true, true, true, address(dat));
        emit IDATCore.UsageRecorded(tokenId, CALLS, 60, BUYER);
        VM.prank(BUYER);
        dat.recordUsage(tokenId, CALLS, 60);
        eq(dat.valueOf(tokenId), 40, "left");
        VM.expectRevert(abi.encodeWithSelector(DAT.QuotaExceeded.selector, tokenId, 40, 41));
        VM.prank(BUYER);
        dat.recordUsage(tokenId, CALLS, 41);
        VM.expectRevert(abi.encodeWithSelector(DAT.NotAuthorised.selector, tokenId, METER));
        VM.prank(METER);
        dat.recordUsage(tokenId, CALLS, 1);
        VM.prank(BUYER);
        dat.recordUsage(tokenId, CALLS, 0);
        eq(dat.valueOf(tokenId), 40, "nothing taken for nothing");
    }

    function test_a_class_operator_meters_but_does_not_move_tokens() public {
        uint256 tokenId = licence(BUYER, 100, 0);
        VM.expectEmit(true, true, true, true, address(dat));
        emit IDATCore.ApprovalForClass(BUYER, classId, METER, true);
        VM.prank(BUYER);
        dat.approveForClass(classId, METER, true);
        ok(dat.isApprovedForClass(BUYER, classId, METER), "approved");
        VM.prank(METER);
        dat.recordUsage(tokenId, CALLS, 10);
        eq(dat.valueOf(tokenId), 90, "metered");
        VM.expectRevert();
        VM.prank(METER);
        dat.transferToken(tokenId, METER);
        VM.prank(BUYER);
        dat.approveForClass(classId, METER, false);
        VM.expectRevert(abi.encodeWithSelector(DAT.NotAuthorised.selector, tokenId, METER));
        VM.prank(METER);
        dat.recordUsage(tokenId, CALLS, 10);
    }

    function test_usage_ends_one_second_after_expiry() public {
        uint256 tokenId = licence(BUYER, 100, 1_800_000_010);
        VM.warp(1_800_000_010);
        VM.prank(BUYER);
        dat.recordUsage(tokenId, CALLS, 1);
        VM.warp(1_800_000_011);
        VM.expectRevert(
            abi.encodeWithSelector(DAT.TokenExpired.selector, tokenId, uint64(1_800_000_010))
        );
        VM.prank(BUYER);
        dat.recordUsage(tokenId, CALLS, 1);
        eq(dat.ownerOf(tokenId), BUYER, "still owned");
        VM.expectEmit(true, true, true, true, address(dat));
        emit IDATCore.Expired(tokenId);
        dat.observeExpiry(tokenId);
    }

    function test_value_moves_within_a_class_only() public {
        uint256 a = licence(BUYER, 100, 0);
        uint256 b = licence(STRANGER, 5, 0);
        VM.expectEmit(true, true, true, true, address(dat));
        emit IDATCore.ValueTransferred(a, b, 30);
        VM.prank(BUYER);
        dat.transferValue(a, b, 30);
        eq(dat.valueOf(a), 70, "from");
        eq(dat.valueOf(b), 35, "to");
        VM.prank(BUYER);
        dat.transferValue(a, a, 70);
        eq(dat.valueOf(a), 70, "to itself changes nothing");

        uint256 foreign = forged(1);
        VM.expectRevert(abi.encodeWithSelector(DAT.ClassMismatch.selector, classId, foreign));
        VM.prank(BUYER);
        dat.transferValue(a, foreign, 1);
        VM.expectRevert(abi.encodeWithSelector(DAT.QuotaExceeded.selector, a, 70, 71));
        VM.prank(BUYER);
        dat.transferValue(a, b, 71);
        VM.expectRevert(DAT.ZeroAmount.selector);
        VM.prank(BUYER);
        dat.transferValue(a, b, 0);
        VM.expectRevert(abi.encodeWithSelector(DAT.NotAuthorised.selector, a, STRANGER));
        VM.prank(STRANGER);
        dat.transferValue(a, b, 1);
    }

    function test_value_does_not_outlive_its_licence() public {
        uint256 brief = licence(BUYER, 100, 1_800_000_100);
        uint256 lasting = licence(BUYER, 1, 0);
        VM.expectRevert(
            abi.encodeWithSelector(DAT.ExpiryExtended.selector, uint64(1_800_000_100), uint64(0))
        );
        VM.prank(BUYER);
        dat.transferValue(brief, lasting, 1);
        VM.prank(BUYER);
        dat.transferValue(lasting, brief, 1);
        eq(dat.valueOf(brief), 101, "the other way is a gift");
        VM.warp(1_800_000_101);
        VM.expectRevert(
            abi.encodeWithSelector(DAT.TokenExpired.selector, brief, uint64(1_800_000_100))
        );
        VM.prank(BUYER);
        dat.transferValue(brief, brief, 1);
    }

    // ---------------------------------------------------------------------------------- revenue

    function test_coin_goes_to_the_holder_of_the_shares() public {
        dat.settleRevenueETH{value: 5 ether}(classId);
        eq(dat.pendingRevenue(classId, COIN), 5 ether, "pending");
        bytes memory claimed = asIdao(
            address(dat), abi.encodeCall(IDATCore.claim, (classId, COIN, payable(address(idao))))
        );
        eq(abi.decode(claimed, (uint256)), 5 ether, "claimed");
        eq(address(idao).balance, 5 ether, "arrived");
        eq(dat.pendingRevenue(classId, COIN), 0, "nothing left");
        claimed = asIdao(
            address(dat), abi.encodeCall(IDATCore.claim, (classId, COIN, payable(address(idao))))
        );
        eq(abi.decode(claimed, (uint256)), 0, "nothing more");
    }

    function test_licences_earn_nothing() public {
        uint256 tokenId = licence(BUYER, 100, 0);
        dat.settleRevenueETH{value: 1 ether}(classId);
        eq(dat.pendingRevenue(tokenId, COIN), 0, "no share");
        VM.prank(BUYER);
        eq(dat.claim(tokenId, COIN, payable(BUYER)), 0, "no claim");
    }

    function test_unclaimed_revenue_follows_the_token() public {
        dat.settleRevenueETH{value: 2 ether}(classId);
        asIdao(address(dat), abi.encodeCall(IDATCore.transferToken, (classId, BUYER)));
        VM.expectRevert(abi.encodeWithSelector(DAT.NotAuthorised.selector, classId, address(idao)));
        asIdao(
            address(dat), abi.encodeCall(IDATCore.claim, (classId, COIN, payable(address(idao))))
        );
        VM.prank(BUYER);
        eq(dat.claim(classId, COIN, payable(BUYER)), 2 ether, "with the token");
    }

    function test_a_class_operator_claims_to_the_owner_only() public {
        dat.settleRevenueETH{value: 2 ether}(classId);
        asIdao(address(dat), abi.encodeCall(IDATCore.approveForClass, (classId, METER, true)));
        VM.expectRevert(abi.encodeWithSelector(DAT.NotAuthorised.selector, classId, METER));
        VM.prank(METER);
        dat.claim(classId, COIN, payable(METER));
        VM.prank(METER);
        dat.claim(classId, COIN, payable(address(idao)));
        eq(address(idao).balance, 2 ether, "to the owner");
    }

    function test_settling_nothing_or_nowhere_reverts() public {
        VM.expectRevert(DAT.ZeroAmount.selector);
        dat.settleRevenueETH(classId);
        VM.expectRevert(abi.encodeWithSelector(DAT.UnknownClass.selector, uint256(1)));
        dat.settleRevenueETH{value: 1}(1);
        VM.expectRevert(abi.encodeWithSelector(DAT.NotAnERC20.selector, COIN));
        dat.settleRevenueERC20(classId, COIN, 1);
        VM.expectRevert();
        dat.settleRevenueERC20(classId, STRANGER, 1);
    }

    function test_an_expired_dataset_keeps_what_it_earned_and_earns_no_more() public {
        IDAT.DatParams memory datParams = params();
        datParams.expireAt = 1_800_000_100;
        uint256 brief = forged(1, datParams);
        dat.settleRevenueETH{value: 3 ether}(brief);
        VM.warp(1_800_000_101);
        VM.expectRevert(abi.encodeWithSelector(DAT.NoActiveShare.selector, brief));
        dat.settleRevenueETH{value: 1 ether}(brief);
        VM.expectEmit(true, true, true, true, address(dat));
        emit IDATCore.Expired(brief);
        asIdao(address(dat), abi.encodeCall(IDATCore.claim, (brief, COIN, payable(address(idao)))));
        eq(address(idao).balance, 3 ether, "earned before");
    }

    function test_a_fee_on_transfer_costs_nobody_else() public {
        uint256 other = forged(1);
        FeeToken fee = new FeeToken(100);
        fee.mint(address(this), 2000);
        fee.approve(address(dat), 2000);
        dat.settleRevenueERC20(classId, address(fee), 1000);
        dat.settleRevenueERC20(other, address(fee), 1000);
        eq(dat.pendingRevenue(classId, address(fee)), 900, "what arrived");
        asIdao(
            address(dat), abi.encodeCall(IDATCore.claim, (classId, address(fee), payable(OWNER)))
        );
        asIdao(address(dat), abi.encodeCall(IDATCore.claim, (other, address(fee), payable(OWNER))));
        eq(fee.balanceOf(address(dat)), 0, "both paid in full");
    }

    function test_a_token_that_calls_back_is_not_counted_twice() public {
        ReentrantToken re = new ReentrantToken();
        re.mint(address(this), 100);
        re.approve(address(dat), 100);
        re.attack(classId);
        VM.expectRevert();
        dat.settleRevenueERC20(classId, address(re), 50);
    }

    function test_claiming_again_inside_a_claim_is_stopped() public {
        GreedyClaimer greedy = new GreedyClaimer(dat, classId);
        asIdao(address(dat), abi.encodeCall(IDATCore.transferToken, (classId, address(greedy))));
        dat.settleRevenueETH{value: 1 ether}(classId);
        VM.expectRevert();
        greedy.claim();
        eq(dat.pendingRevenue(classId, COIN), 1 ether, "untouched");
    }

    function test_a_receiver_that_refuses_loses_nothing() public {
        Refuser refuser = new Refuser();
        dat.settleRevenueETH{value: 1 ether}(classId);
        VM.expectRevert();
        asIdao(
            address(dat), abi.encodeCall(IDATCore.claim, (classId, COIN, payable(address(refuser))))
        );
        eq(dat.pendingRevenue(classId, COIN), 1 ether, "still pending");
    }

    function test_coin_sent_without_a_class_is_refused() public {
        (bool sent,) = address(dat).call{value: 1}("");
        ok(!sent, "no receive function");
    }

    /// @dev Whatever the weight, the holder of all shares gets all but less than one unit, and the
    /// rest comes with later revenue.
    function testFuzz_no_revenue_is_lost_to_rounding(uint96[8] memory amounts, uint16 weight)
        public
    {
        IDAT.DatParams memory datParams = params();
        datParams.shareRatio = weight == 0 ? 1 : weight;
        uint256 id = forged(1, datParams);
        uint256 settled;
        for (uint256 i = 0; i < amounts.length; ++i) {
            uint256 amount = uint256(amounts[i]) + 1;
            VM.deal(address(this), amount);
            dat.settleRevenueETH{value: amount}(id);
            settled += amount;
            ok(dat.pendingRevenue(id, COIN) == settled, "to the last unit");
        }
    }

    receive() external payable {}
}
