// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

import {ChallengeBase} from "./ChallengeBase.sol";
import {DatasetForge} from "./DatasetForge.sol";
import {LocalChains} from "./LocalChains.sol";

/// @title WithheldChallenges
/// @notice The only fault that takes more than one transaction: an entry that nobody shows. Someone
/// asks for an entry by its index and pays a deposit. Anyone who shows the entry in time gets the
/// deposit, so a needless question costs its asker and pays the answer. When the time is over the
/// fault is upheld and the deposit goes back.
///
/// At most {DatasetForge.HOLDS_MAX} entries of a dataset are asked for at a time, and one entry
/// never again once it was shown: its bytes are in the event. After all places were taken the window
/// stays open for a day, so that nobody is kept out by questions that the iDAO asks itself.
abstract contract WithheldChallenges is ChallengeBase {
    /// @dev Open while there is a deadline.
    struct Question {
        address challenger;
        uint64 deadline;
        bool isClosed;
    }

    /// @notice Seconds in which an entry may be shown.
    uint64 public immutable responseSeconds;
    /// @notice What asking for an entry costs until it turns out that it is withheld.
    uint256 public immutable deposit;

    /// @notice Deposits that may be taken with {takeDeposit}.
    mapping(address account => uint256 amount) public depositOf;
    mapping(bytes32 key => mapping(uint64 index => Question)) private _questions;

    /// @notice Whoever shows the entry before `deadline` (Unix seconds) earns the deposit.
    event EntryAskedFor(
        bytes32 indexed key, uint64 indexed index, address indexed challenger, uint256 deadline
    );
    /// @notice The entry, for all to read.
    event EntryShown(
        bytes32 indexed key, uint64 indexed index, address indexed responder, bytes entry
    );
    /// @notice The question is settled: `upheld` when the dataset is void for it.
    event QuestionClosed(bytes32 indexed key, uint64 indexed index, bool upheld);
    /// @notice Deposits that came back, or were earned, were taken.
    event DepositTaken(address indexed account, address indexed to, uint256 amount);

    /// @notice Asking must cost something on public chains.
    error NoDeposit(uint256 chainId);
    /// @notice Exactly the deposit is to be paid.
    error WrongDeposit(uint256 paid, uint256 expected);
    /// @notice The dataset has fewer entries.
    error NoSuchEntry(uint64 index, uint64 count);
    /// @notice The entry is asked for now, or was before.
    error AskedBefore(bytes32 key, uint64 index);
    /// @notice The entry is not asked for, or that is settled.
    error NotAskedFor(bytes32 key, uint64 index);
    /// @notice The answer is too late.
    error ResponseOver(bytes32 key, uint64 index, uint256 deadline);
    /// @notice There is time left for an answer.
    error ResponseOpen(bytes32 key, uint64 index, uint256 deadline);
    /// @notice The caller has no deposit to take.
    error NothingToTake(address account);

    constructor(uint256 deposit_) {
        if (deposit_ == 0 && !LocalChains.isLocal(block.chainid)) revert NoDeposit(block.chainid);
        deposit = deposit_;
        responseSeconds = forge.responseSeconds();
    }

    /// @notice Asks for entry `index` of a dataset. Until that is settled the dataset is not
    /// finalised.
    function askForEntry(DatasetForge.Record calldata record, uint64 index) external payable {
        (bytes32 key, uint8 status,) = _challengeable(record);
        if (status == forge.STATUS_VOID()) revert DatasetVoid(key);
        if (msg.value != deposit) revert WrongDeposit(msg.value, deposit);
        if (index >= record.count) revert NoSuchEntry(index, record.count);
        Question storage question = _questions[key][index];
        if (question.deadline != 0) revert AskedBefore(key, index);
        question.challenger = msg.sender;
        // 64 bits of seconds do not end.
        // forge-lint: disable-next-line(unsafe-typecast)
        question.deadline = uint64(block.timestamp) + responseSeconds;
        forge.hold(key);
        emit EntryAskedFor(key, index, msg.sender, question.deadline);
    }

    /// @notice Shows an entry that is asked for, and earns the deposit. Bytes that are no entry of
    /// version 1 are no answer.
    function showEntry(DatasetForge.Record calldata record, Proof calldata proof) external {
        (bytes32 key,,) = _committed(record);
        Question storage question = _open(key, proof.index);
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp >= question.deadline) {
            revert ResponseOver(key, proof.index, question.deadline);
        }
        _entryOf(record, proof);
        question.isClosed = true;
        depositOf[msg.sender] += deposit;
        forge.release(key);
        emit EntryShown(key, proof.index, msg.sender, proof.entry);
        emit QuestionClosed(key, proof.index, false);
    }

    /// @notice Settles a question that nobody answered in time: the dataset is void, the asker gets
    /// a challenger's part and his deposit. Where the dataset is void already, only the deposit goes
    /// back, at once. Anyone may settle.
    function settleWithheld(DatasetForge.Record calldata record, uint64 index) external {
        (bytes32 key, uint8 status,) = _committed(record);
        Question storage question = _open(key, index);
        bool isVoid = status == forge.STATUS_VOID();
        // forge-lint: disable-next-line(block-timestamp)
        if (!isVoid && block.timestamp < question.deadline) {
            revert ResponseOpen(key, index, question.deadline);
        }
        question.isClosed = true;
        depositOf[question.challenger] += deposit;
        forge.release(key);
        if (!isVoid) forge.uphold(key, record.idao, FAULT_WITHHELD, question.challenger);
        emit QuestionClosed(key, index, !isVoid);
    }

    /// @notice Pays the caller's deposits to `to`.
    function takeDeposit(address payable to) external returns (uint256 amount) {
        amount = depositOf[msg.sender];
        if (amount == 0) revert NothingToTake(msg.sender);
        depositOf[msg.sender] = 0;
        emit DepositTaken(msg.sender, to, amount);
        Address.sendValue(to, amount);
    }

    /// @notice What is known of an entry that was asked for.
    /// @return challenger who asked; zero: nobody
    /// @return deadline Unix seconds until which it may be shown
    /// @return isClosed whether it was shown, or the question settled
    function questionOf(bytes32 key, uint64 index)
        external
        view
        returns (address challenger, uint256 deadline, bool isClosed)
    {
        Question memory question = _questions[key][index];
        return (question.challenger, question.deadline, question.isClosed);
    }

    function _open(bytes32 key, uint64 index) private view returns (Question storage question) {
        question = _questions[key][index];
        if (question.deadline == 0 || question.isClosed) revert NotAskedFor(key, index);
    }
}
