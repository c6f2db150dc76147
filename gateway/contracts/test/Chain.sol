// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {Challenges} from "../src/Challenges.sol";
import {DAT} from "../src/DAT.sol";
import {DatasetForge} from "../src/DatasetForge.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {IDAO} from "../src/IDAO.sol";
import {IDAOFactory} from "../src/IDAOFactory.sol";
import {IDAT} from "../src/IDAT.sol";

/// @dev All contracts deployed in the gateway's order, one iDAO with an operator and a gateway key.
abstract contract Chain is Base {
    address internal constant OWNER = address(0xA11CE);
    address internal constant OPERATOR = address(0x0FE2);
    address internal constant STRANGER = address(0x5724);
    address internal constant ATTESTER = address(0xA77E);
    bytes32 internal constant MANIFEST = keccak256("manifest");
    bytes16 internal constant LOG = bytes16(uint128(0xabcdef));

    IDAOFactory internal factory;
    DeviceRegistry internal registry;
    DAT internal dat;
    DatasetForge internal datasetForge;
    Challenges internal challenges;
    IDAO internal idao;
    bytes32 internal gateway;

    function setUp() public virtual {
        VM.warp(1_800_000_000);
        deploy(terms());
        VM.prank(OWNER);
        idao = IDAO(payable(factory.create(bytes32(uint256(1)), initParams(OWNER))));
        VM.prank(OWNER);
        idao.setOperator(OPERATOR, true);
        VM.prank(OPERATOR);
        gateway = registry.register(address(idao), gatewayKey());
    }

    /// @dev What the local network has.
    function terms() internal pure virtual returns (DatasetForge.Terms memory) {
        return DatasetForge.Terms(0, 0, 0, 0);
    }

    function deposit() internal pure virtual returns (uint256) {
        return 0;
    }

    function deploy(DatasetForge.Terms memory terms_) internal {
        factory = new IDAOFactory();
        registry = new DeviceRegistry(ATTESTER);
        // This contract's nonces count on from 1 for each creation.
        uint256 nonce = nextNonce();
        address forgeAddress = VM.computeCreateAddress(address(this), nonce + 1);
        address challengesAddress = VM.computeCreateAddress(address(this), nonce + 2);
        dat = new DAT(forgeAddress);
        datasetForge = new DatasetForge(dat, registry, challengesAddress, terms_);
        challenges = new Challenges(datasetForge, deposit());
    }

    function nextNonce() private view returns (uint256 nonce) {
        for (nonce = 1; nonce < 64; ++nonce) {
            if (VM.computeCreateAddress(address(this), nonce).code.length == 0) return nonce;
        }
    }

    function initParams(address owner) internal pure returns (IDAO.InitParams memory) {
        return IDAO.InitParams(owner, address(0), address(0), address(0), "demo", "a demo iDAO");
    }

    function gatewayKey() internal pure returns (DeviceRegistry.Key memory) {
        return DeviceRegistry.Key(1, 2, abi.encodePacked(hex"02", keccak256("gateway")));
    }

    function recordAt(uint64 index) internal view returns (DatasetForge.Record memory) {
        return DatasetForge.Record({
            idao: address(idao),
            gateway: gateway,
            logId: LOG,
            index: index,
            root: keccak256(abi.encode("root", index)),
            count: 1000,
            manifestHash: MANIFEST,
            minTime: 1_700_000_000_000_000,
            maxTime: 1_700_000_060_000_000,
            url: "https://gateway.example/datasets/0123456789abcdef/entries"
        });
    }

    function params() internal pure returns (IDAT.DatParams memory) {
        return IDAT.DatParams({
            value: 1_000_000, shareRatio: 10_000, expireAt: 0, metadataURI: "", policyURI: ""
        });
    }

    /// @dev A forged dataset; its token and class id.
    function forged(uint64 index) internal returns (uint256) {
        return forged(index, params());
    }

    function forged(uint64 index, IDAT.DatParams memory datParams) internal returns (uint256) {
        DatasetForge.Record memory record = recordAt(index);
        VM.startPrank(OPERATOR);
        datasetForge.commit(record);
        uint256 tokenId = datasetForge.finalise(record, datParams);
        VM.stopPrank();
        return tokenId;
    }

    /// @dev Calls as the iDAO, through its owner.
    function asIdao(address target, bytes memory data) internal returns (bytes memory) {
        VM.prank(OWNER);
        return idao.execute(target, 0, data);
    }
}
