// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Chain} from "./Chain.sol";
import {Base} from "./Base.sol";
import {FeeToken} from "./Helpers.sol";
import {DAT} from "../src/DAT.sol";
import {IDAT} from "../src/IDAT.sol";
import {IDATCore} from "../src/IDATCore.sol";

/// @dev Does at random what holders and payers may do, over several classes, assets and holders.
contract Actor is Base {
    DAT private immutable DAT_;
    uint256[] private classes;
    address[] private assets;
    address[] private holders;

    mapping(uint256 classId => mapping(address asset => uint256)) public settled;
    mapping(uint256 classId => mapping(address asset => uint256)) public claimed;

    constructor(DAT dat, uint256[] memory classes_, address[] memory assets_, address[] memory who)
        payable {
        DAT_ = dat;
        classes = classes_;
        assets = assets_;
        holders = who;
    }

    function settle(uint256 c, uint256 a, uint96 amount) external {
        uint256 classId = classes[c % classes.length];
        address asset = assets[a % assets.length];
        uint256 before = balance(asset);
        if (asset == address(0)) {
            DAT_.settleRevenueETH{value: uint256(amount) % 1 ether}(classId);
        } else {
            FeeToken(asset).mint(address(this), amount);
            FeeToken(asset).approve(address(DAT_), amount);
            DAT_.settleRevenueERC20(classId, asset, amount);
        }
        settled[classId][asset] += balance(asset) - before;
    }

    function claim(uint256 c, uint256 a) external {
        uint256 classId = classes[c % classes.length];
        address asset = assets[a % assets.length];
        address owner = DAT_.ownerOf(classId);
        VM.prank(owner);
        claimed[classId][asset] += DAT_.claim(classId, asset, payable(owner));
    }

    function transfer(uint256 c, uint256 h) external {
        uint256 classId = classes[c % classes.length];
        VM.prank(DAT_.ownerOf(classId));
        DAT_.transferToken(classId, holders[h % holders.length]);
    }

    function licence(uint256 c, uint256 h, uint40 value) external {
        uint256 classId = classes[c % classes.length];
        VM.prank(DAT_.ownerOf(classId));
        DAT_.mint(classId, holders[h % holders.length], value, 0, 0);
    }

    function pass(uint32 time) external {
        VM.warp(block.timestamp + time % 1 days);
    }

    function balance(address asset) private view returns (uint256) {
        return
            asset == address(0) ? address(DAT_).balance : FeeToken(asset).balanceOf(address(DAT_));
    }
}

/// @dev Claimed + pending never exceeds what was settled, for each class and asset, and the
/// contract always holds what is pending.
contract SolvencyTest is Chain {
    Actor private actor;
    uint256[] private classes;
    address[] private assets;

    function setUp() public override {
        super.setUp();
        uint16[3] memory weights = [uint16(1), 10_000, 65_535];
        for (uint64 i = 0; i < 3; ++i) {
            IDAT.DatParams memory datParams = params();
            datParams.shareRatio = weights[i];
            // One of the classes runs out while the others go on.
            if (i == 1) datParams.expireAt = 1_800_000_000 + 5 days;
            classes.push(forged(i, datParams));
        }
        assets = [address(0), address(new FeeToken(0)), address(new FeeToken(37))];
        address[] memory holders = new address[](3);
        (holders[0], holders[1], holders[2]) = (address(0xA1), address(0xA2), address(0xA3));
        for (uint256 i = 0; i < 3; ++i) {
            asIdao(address(dat), abi.encodeCall(IDATCore.transferToken, (classes[i], holders[i])));
        }
        VM.deal(address(this), 1_000_000 ether);
        actor = new Actor{value: 1_000_000 ether}(dat, classes, assets, holders);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    function invariant_claimed_and_pending_never_exceed_settled() external view {
        for (uint256 a = 0; a < assets.length; ++a) {
            uint256 owed;
            for (uint256 c = 0; c < classes.length; ++c) {
                uint256 pending = dat.pendingRevenue(classes[c], assets[a]);
                uint256 claimed = actor.claimed(classes[c], assets[a]);
                uint256 settled = actor.settled(classes[c], assets[a]);
                ok(claimed + pending <= settled, "class is solvent");
                ok(claimed + pending >= settled, "nothing is lost");
                owed += pending;
            }
            uint256 held = assets[a] == address(0) ? address(dat).balance : balanceOf(assets[a]);
            ok(owed <= held, "asset is solvent");
        }
    }

    function balanceOf(address asset) private view returns (uint256) {
        return FeeToken(asset).balanceOf(address(dat));
    }
}
