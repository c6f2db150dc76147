// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {StatementReader} from "../src/StatementReader.sol";
import {Trees} from "./Trees.sol";

/// @dev Gives the library's internal functions an outside.
contract Reader {
    function statement(bytes calldata data)
        external
        pure
        returns (StatementReader.Statement memory)
    {
        return StatementReader.readStatement(data);
    }

    function entry(bytes calldata data) external pure returns (StatementReader.Entry memory) {
        return StatementReader.readEntry(data);
    }

    function leaf(bytes calldata data) external pure returns (bytes32) {
        return StatementReader.leafHash(data);
    }

    function realm(uint256 chainId, address idao) external pure returns (bytes32) {
        return StatementReader.realmOf(chainId, idao);
    }

    function included(
        bytes32 leaf_,
        uint256 index,
        uint256 size,
        bytes32[] calldata path,
        bytes32 root
    ) external pure returns (bool) {
        return StatementReader.isIncluded(leaf_, index, size, path, root);
    }
}

/// @dev Reads the published vectors: contract and firmware must agree on every byte.
contract StatementReaderTest is Base {
    Reader private immutable READER = new Reader();
    bytes16 private constant STATEMENT_TAG = "waystone/stmt/1";
    string private vectors;

    function setUp() public {
        vectors = VM.readFile("../../proto/vectors/v1.json");
    }

    function item(string memory list, uint256 i, string memory field)
        private
        pure
        returns (string memory)
    {
        return string.concat(list, "[", VM.toString(i), "]", field);
    }

    function bytesAt(string memory path) private view returns (bytes memory) {
        return VM.parseJsonBytes(vectors, path);
    }

    function uintAt(string memory path) private view returns (uint256) {
        return VM.parseJsonUint(vectors, path);
    }

    function toByte(uint256 value) private pure returns (uint8) {
        require(value < 256);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint8(value);
    }

    function checkStatement(StatementReader.Statement memory read, string memory path)
        private
        view
    {
        bytes memory whole = bytesAt(string.concat(path, ".statementBytes"));
        string memory fields = string.concat(path, ".statement");
        eq(read.stream, uintAt(string.concat(fields, ".stream")), "stream");
        eq(read.format, uintAt(string.concat(fields, ".format")), "format");
        eq(read.timeBase, uintAt(string.concat(fields, ".timeBase")), "timeBase");
        eq(read.flags, uintAt(string.concat(fields, ".flags")), "flags");
        eq(read.firstSequence, uintAt(string.concat(fields, ".firstSequence")), "first");
        eq(read.count, uintAt(string.concat(fields, ".count")), "count");
        eq(read.minTime, uintAt(string.concat(fields, ".minTimeUs")), "minTime");
        eq(read.maxTime, uintAt(string.concat(fields, ".maxTimeUs")), "maxTime");
        // All fields put together again are the very bytes.
        bytes memory again = abi.encodePacked(
            STATEMENT_TAG,
            read.realm,
            read.device,
            read.session,
            read.stream,
            read.format,
            read.timeBase,
            read.flags,
            read.firstSequence,
            read.count,
            uint32(0)
        );
        again = abi.encodePacked(again, read.minTime, read.maxTime, read.framesRoot, read.previous);
        eq(again, whole, "statement bytes");
    }

    function test_statements_and_entries_of_the_vectors() public view {
        uint256 size = uintAt(".dataset.size");
        for (uint256 i = 0; i < size; ++i) {
            string memory path = item(".dataset.entries", i, "");
            bytes memory data = bytesAt(string.concat(path, ".bytes"));
            StatementReader.Entry memory read = READER.entry(data);
            checkStatement(read.statement, path);
            eq(read.signature, bytesAt(string.concat(path, ".signature")), "signature");
            eq(read.receiveTime, uintAt(string.concat(path, ".receivedAtUs")), "receive time");
            eq(read.ingestFlags, uintAt(string.concat(path, ".flags")), "ingest flags");
            checkStatement(READER.statement(bytesAt(string.concat(path, ".statementBytes"))), path);
        }
    }

    function test_entries_are_in_the_tree_of_the_vectors() public view {
        uint256 size = uintAt(".dataset.size");
        bytes32 root = VM.parseJsonBytes32(vectors, ".dataset.root");
        bytes32[] memory leaves = VM.parseJsonBytes32Array(vectors, ".dataset.leaves");
        for (uint256 i = 0; i < size; ++i) {
            bytes32 leaf = READER.leaf(bytesAt(item(".dataset.entries", i, ".bytes")));
            eq(leaf, leaves[i], "leaf hash");
            string memory proof = item(".dataset.proofs", i, "");
            eq(uintAt(string.concat(proof, ".index")), i, "index");
            bytes32[] memory path = VM.parseJsonBytes32Array(vectors, string.concat(proof, ".path"));
            ok(READER.included(leaf, i, size, path, root), "included");
            ok(!READER.included(~leaf, i, size, path, root), "other leaf");
            ok(!READER.included(leaf, i, size, path, ~root), "other root");
            ok(!READER.included(leaf, size, size, path, root), "index too high");
            if (path.length == 0) continue;
            path[0] = ~path[0];
            ok(!READER.included(leaf, i, size, path, root), "other path");
        }
    }

    function test_realms_of_the_vectors() public view {
        for (uint256 i = 0; VM.keyExistsJson(vectors, item(".realms", i, "")); ++i) {
            bytes32 realm = READER.realm(
                uintAt(item(".realms", i, ".chainId")),
                VM.parseJsonAddress(vectors, item(".realms", i, ".idao"))
            );
            eq(realm, VM.parseJsonBytes32(vectors, item(".realms", i, ".realm")), "realm");
        }
    }

    function test_key_ids_of_the_vectors() public {
        DeviceRegistry registry = new DeviceRegistry(address(0));
        string[4] memory names = [".keys.secp256k1", ".keys.p256", ".keys.ed25519", ".keys.gateway"];
        for (uint256 i = 0; i < names.length; ++i) {
            bytes32 id = registry.idOf(
                toByte(uintAt(string.concat(names[i], ".typeNumber"))),
                bytesAt(string.concat(names[i], ".publicKey"))
            );
            eq(id, VM.parseJsonBytes32(vectors, string.concat(names[i], ".keyId")), "key id");
        }
    }

    function test_what_is_not_version_1_is_refused() public {
        bytes memory data = bytesAt(".dataset.entries[0].bytes");
        data[15] = 0x32;
        VM.expectRevert();
        READER.entry(data);
        data = bytesAt(".dataset.entries[0].bytes");
        data[119] = 0x01;
        VM.expectRevert(StatementReader.ReservedNotZero.selector);
        READER.entry(data);
        data[119] = 0;
        data[279] = 0x01;
        VM.expectRevert(StatementReader.ReservedNotZero.selector);
        READER.entry(data);
        VM.expectRevert(
            abi.encodeWithSelector(StatementReader.WrongLength.selector, uint256(1), uint256(280))
        );
        READER.entry(hex"00");
        VM.expectRevert(
            abi.encodeWithSelector(StatementReader.WrongLength.selector, uint256(0), uint256(200))
        );
        READER.statement("");
    }

    /// @dev Why index and size must come from the stored record: a path also fits elsewhere.
    function test_a_path_fits_other_positions_of_other_sizes() public view {
        bytes32[3] memory leaves = [keccak256("0"), keccak256("1"), keccak256("2")];
        bytes32[] memory path = new bytes32[](1);
        path[0] = Trees.nodeOf(leaves[0], leaves[1]);
        bytes32 root = Trees.nodeOf(path[0], leaves[2]);
        ok(READER.included(leaves[2], 2, 3, path, root), "its own position");
        ok(READER.included(leaves[2], 1, 2, path, root), "1 of 2 fits too");
        ok(READER.included(leaves[2], 4, 5, path, root), "4 of 5 fits too");
        ok(!READER.included(leaves[2], 1, 3, path, root), "1 of 3 does not");
        ok(!READER.included(leaves[2], 3, 3, path, root), "beyond the tree");
        ok(!READER.included(leaves[2], 0, 0, path, root), "no empty trees");
    }

    /// @dev Every leaf of a tree of any size up to 64 verifies with the path of the recursive
    /// definition (RFC 9162, 2.1.1 and 2.1.3.1), and with no other index.
    function testFuzz_inclusion_follows_the_definition(uint8 size_, uint8 index_) public view {
        uint256 size = uint256(size_) % 64 + 1;
        uint256 index = uint256(index_) % size;
        bytes32[] memory leaves = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            leaves[i] = keccak256(abi.encode(i));
        }
        bytes32[] memory path = Trees.pathOf(leaves, index);
        bytes32 root = Trees.rootOf(leaves);
        ok(READER.included(leaves[index], index, size, path, root), "included");
        for (uint256 i = 0; i < size; ++i) {
            if (i != index) {
                ok(!READER.included(leaves[index], i, size, path, root), "once");
            }
        }
    }
}
