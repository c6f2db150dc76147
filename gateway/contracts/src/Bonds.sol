// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

import {IIDAO} from "./IIDAO.sol";
import {LocalChains} from "./LocalChains.sol";

/// @title Bonds
/// @notice The bond of each iDAO, in the chain's own coin: one for the iDAO, however many gateways
/// and datasets it has.
///
/// DatasetForge inherits it instead of calling a contract of its own: a commit then reads the bond
/// from its own storage, and a dataset's status and the slice change in one place or not at all.
///
/// Every coin that comes in is in one of four places: a bond, a reward that waits for its
/// challenger, what was withdrawn, and what is burnt. Burnt coin stays here for ever: no function
/// sends it, so that burning cannot fail and needs no address that "nobody" has.
abstract contract Bonds {
    /// @dev `requested` is the part of `amount` for which withdrawal was asked; it still answers
    /// for faults, but no longer for new commits.
    struct Bond {
        uint128 amount;
        uint128 requested;
        uint64 takeableAt;
    }

    /// @notice Bond without which an iDAO cannot commit. Zero exists on local chains only.
    uint128 public immutable minimumBond;
    /// @notice What an upheld fault takes, or the whole bond where that is less.
    uint128 public immutable slice;
    /// @notice Seconds from a request to the withdrawal.
    uint64 public immutable withdrawalSeconds;

    /// @notice Coin that is locked here for ever.
    uint256 public burnt;
    /// @notice What a challenger may take with {takeReward}.
    mapping(address challenger => uint256 amount) public rewardOf;
    mapping(address idao => Bond) private _bonds;

    /// @notice `from` added to the bond.
    event BondDeposited(address indexed idao, address indexed from, uint256 amount);
    /// @notice `amount` is asked back from `takeableAt` (Unix seconds) on; zero ends a request.
    event BondRequested(address indexed idao, uint256 amount, uint256 takeableAt);
    /// @notice `amount` went to the iDAO's treasury.
    event BondWithdrawn(address indexed idao, uint256 amount);
    /// @notice A fault was upheld: so much for the challenger, so much locked for ever.
    event BondSliced(
        address indexed idao, address indexed challenger, uint256 reward, uint256 burnt
    );
    /// @notice A challenger took what it had earned.
    event RewardTaken(address indexed challenger, address indexed to, uint256 amount);

    /// @notice Bond, slice or withdrawal time do not fit this chain or each other.
    error BondTerms(uint256 minimumBond, uint256 slice, uint256 chainId);
    /// @notice There is no iDAO at the address, so nobody could ever withdraw.
    error NotAnIdao(address idao);
    /// @notice The caller is neither the iDAO nor its owner. Operators cannot move the bond.
    error NotBondOwner(address idao, address caller);
    /// @notice There is less than is needed or asked for; what is asked back does not count.
    error BondTooSmall(address idao, uint256 bond, uint256 needed);
    /// @notice Nothing was requested, or it may be taken from `takeableAt` (Unix seconds; 0: never).
    error NotTakeable(address idao, uint256 takeableAt);
    /// @notice Nothing was sent, or nothing is there to take.
    error NoCoin();

    constructor(uint128 minimumBond_, uint128 slice_, uint64 withdrawalSeconds_) {
        // A bond below one slice would make the first fault cheaper than it says.
        bool sound = slice_ > 0 && minimumBond_ >= slice_;
        if (!sound && !LocalChains.isLocal(block.chainid)) {
            revert BondTerms(minimumBond_, slice_, block.chainid);
        }
        minimumBond = minimumBond_;
        slice = slice_;
        withdrawalSeconds = withdrawalSeconds_;
    }

    /// @notice Adds to the bond of an iDAO. Anyone may, and cannot take it back.
    function depositBond(address idao) external payable {
        if (msg.value == 0) revert NoCoin();
        if (idao.code.length == 0) revert NotAnIdao(idao);
        // No chain has 2^128 of its coin.
        // forge-lint: disable-next-line(unsafe-typecast)
        _bonds[idao].amount += uint128(msg.value);
        emit BondDeposited(idao, msg.sender, msg.value);
    }

    /// @notice Asks to withdraw `amount` later; replaces an earlier request, and zero ends it.
    /// Until it is taken the amount answers for faults like the rest, but not for new commits.
    function requestBond(address idao, uint128 amount) external {
        _checkBondOwner(idao);
        Bond storage bond = _bonds[idao];
        if (amount > bond.amount) revert BondTooSmall(idao, bond.amount, amount);
        bond.requested = amount;
        // Zero while nothing is requested. 64 bits of seconds do not end.
        // forge-lint: disable-next-line(unsafe-typecast)
        bond.takeableAt = amount == 0 ? 0 : uint64(block.timestamp) + withdrawalSeconds;
        emit BondRequested(idao, amount, bond.takeableAt);
    }

    /// @notice Pays what was requested, or what is left of it, to the iDAO's treasury.
    function takeBond(address idao) external returns (uint256 amount) {
        _checkBondOwner(idao);
        Bond storage bond = _bonds[idao];
        amount = bond.requested;
        // forge-lint: disable-next-line(block-timestamp)
        if (amount == 0 || block.timestamp < bond.takeableAt) {
            revert NotTakeable(idao, bond.takeableAt);
        }
        bond.amount -= bond.requested;
        bond.requested = 0;
        bond.takeableAt = 0;
        emit BondWithdrawn(idao, amount);
        Address.sendValue(payable(idao), amount);
    }

    /// @notice Pays a challenger's rewards to `to`. Pulled, so that a challenger that refuses coin
    /// cannot undo what was upheld.
    function takeReward(address payable to) external returns (uint256 amount) {
        amount = rewardOf[msg.sender];
        if (amount == 0) revert NoCoin();
        rewardOf[msg.sender] = 0;
        emit RewardTaken(msg.sender, to, amount);
        Address.sendValue(to, amount);
    }

    /// @notice The bond of an iDAO.
    /// @return amount all that answers for faults
    /// @return requested the part that is asked back
    /// @return takeableAt Unix seconds from which that part may be taken; 0: nothing is asked
    function bondOf(address idao)
        external
        view
        returns (uint256 amount, uint256 requested, uint256 takeableAt)
    {
        Bond memory bond = _bonds[idao];
        return (bond.amount, bond.requested, bond.takeableAt);
    }

    /// @dev Takes a slice, or what is there. Half goes to the challenger, rounded down, the rest is
    /// burnt: an iDAO that challenges itself loses at least half of it.
    function _takeSlice(address idao, address challenger) internal {
        Bond storage bond = _bonds[idao];
        uint128 amount = bond.amount;
        uint128 taken = amount < slice ? amount : slice;
        bond.amount = amount - taken;
        if (bond.requested > amount - taken) bond.requested = amount - taken;
        uint256 reward = taken / 2;
        rewardOf[challenger] += reward;
        burnt += taken - reward;
        emit BondSliced(idao, challenger, reward, taken - reward);
    }

    /// @dev What is asked back does not count: a dataset that is committed now can be challenged
    /// after it is gone.
    function _checkBond(address idao) internal view {
        if (minimumBond == 0) return;
        Bond storage bond = _bonds[idao];
        uint256 free = bond.amount - bond.requested;
        if (free < minimumBond) revert BondTooSmall(idao, free, minimumBond);
    }

    function _checkBondOwner(address idao) private view {
        if (msg.sender != idao && msg.sender != IIDAO(idao).owner()) {
            revert NotBondOwner(idao, msg.sender);
        }
    }
}
