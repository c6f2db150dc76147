// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IDATCore} from "../src/IDATCore.sol";

contract ERC1155Mint is ERC1155("") {
    function mint(address to, uint256 id, uint256 amount) external {
        _mint(to, id, amount, "");
    }
}

/// @dev An ERC-20 that may keep a fee of every transfer, in thousandths.
contract FeeToken is ERC20("Fee", "FEE") {
    uint256 private immutable FEE;

    constructor(uint256 feeThousandths) {
        FEE = feeThousandths;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value * FEE / 1000;
        super._update(from, to, value - fee);
        if (fee > 0) super._update(from, address(0), fee);
    }
}

/// @dev An ERC-20 that settles once more from inside a transfer, to be counted twice.
contract ReentrantToken is ERC20("Re", "RE") {
    uint256 private _classId;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function attack(uint256 classId) external {
        _classId = classId;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (_classId != 0 && from != address(0)) {
            uint256 classId = _classId;
            _classId = 0;
            IDATCore(msg.sender).settleRevenueERC20(classId, address(this), 1);
        }
        super._update(from, to, value);
    }
}

contract Refuser {
    error Refused(uint256 code);

    function refuse(uint256 code) external pure {
        revert Refused(code);
    }
}

/// @dev Takes coin and claims again while it does.
contract GreedyClaimer {
    IDATCore private immutable DAT_;
    uint256 private immutable TOKEN;

    constructor(IDATCore dat, uint256 tokenId) {
        DAT_ = dat;
        TOKEN = tokenId;
    }

    receive() external payable {
        DAT_.claim(TOKEN, address(0), payable(address(this)));
    }

    function claim() external {
        DAT_.claim(TOKEN, address(0), payable(address(this)));
    }
}
