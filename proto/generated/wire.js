/*eslint-disable block-scoped-var, id-length, no-control-regex, no-magic-numbers, no-mixed-operators, no-prototype-builtins, no-redeclare, no-shadow, no-var, sort-vars, default-case, jsdoc/require-param*/
import $protobuf from "protobufjs/minimal.js";

// Common aliases
const $Reader = $protobuf.Reader, $Writer = $protobuf.Writer, $util = $protobuf.util;
const $Object = $util.global.Object, $undefined = $util.global.undefined, $Error = $util.global.Error, $RangeError = $util.global.RangeError;

// Exported root namespace
const $root = $protobuf.roots["waystone"] || ($protobuf.roots["waystone"] = {});

export const waystone = $root.waystone = (() => {

    /**
     * Namespace waystone.
     * @exports waystone
     * @namespace
     */
    const waystone = {};

    waystone.v1 = (function() {

        /**
         * Namespace v1.
         * @memberof waystone
         * @namespace
         */
        const v1 = {};

        v1.Frame = (function() {

            /**
             * Properties of a Frame.
             * @typedef {Object} waystone.v1.Frame.$Properties
             * @property {Uint8Array|null} [salt] Frame salt
             * @property {number|null} [timeUs] Frame timeUs
             * @property {waystone.v1.Clock.$Properties|null} [clock] Frame clock
             * @property {waystone.v1.Position.$Properties|null} [position] Frame position
             * @property {waystone.v1.Motion.$Properties|null} [motion] Frame motion
             * @property {Array.<waystone.v1.ImuSample.$Properties>|null} [imu] Frame imu
             * @property {Array.<waystone.v1.WheelSpeeds.$Properties>|null} [wheelSpeeds] Frame wheelSpeeds
             * @property {Array.<waystone.v1.CanFrame.$Properties>|null} [can] Frame can
             * @property {Array.<waystone.v1.BlobReference.$Properties>|null} [blobs] Frame blobs
             * @property {waystone.v1.Integrity.$Properties|null} [integrity] Frame integrity
             * @property {Uint8Array|null} [rawGnss] Frame rawGnss
             * @property {waystone.v1.Discarded.$Properties|null} [discarded] Frame discarded
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a Frame.
             * @memberof waystone.v1
             * @interface IFrame
             * @augments waystone.v1.Frame.$Properties
             * @deprecated Use waystone.v1.Frame.$Properties instead.
             */

            /**
             * Shape of a Frame.
             * @typedef {waystone.v1.Frame.$Properties} waystone.v1.Frame.$Shape
             */

            /**
             * Constructs a new Frame.
             * @memberof waystone.v1
             * @classdesc Represents a Frame.
             * @constructor
             * @param {waystone.v1.Frame.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const Frame = function (properties) {
                this.imu = [];
                this.wheelSpeeds = [];
                this.can = [];
                this.blobs = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * Frame salt.
             * @member {Uint8Array} salt
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.salt = $util.newBuffer([]);

            /**
             * Frame timeUs.
             * @member {number} timeUs
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.timeUs = 0;

            /**
             * Frame clock.
             * @member {waystone.v1.Clock.$Properties|null|undefined} clock
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.clock = null;

            /**
             * Frame position.
             * @member {waystone.v1.Position.$Properties|null|undefined} position
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.position = null;

            /**
             * Frame motion.
             * @member {waystone.v1.Motion.$Properties|null|undefined} motion
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.motion = null;

            /**
             * Frame imu.
             * @member {Array.<waystone.v1.ImuSample.$Properties>} imu
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.imu = $util.emptyArray;

            /**
             * Frame wheelSpeeds.
             * @member {Array.<waystone.v1.WheelSpeeds.$Properties>} wheelSpeeds
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.wheelSpeeds = $util.emptyArray;

            /**
             * Frame can.
             * @member {Array.<waystone.v1.CanFrame.$Properties>} can
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.can = $util.emptyArray;

            /**
             * Frame blobs.
             * @member {Array.<waystone.v1.BlobReference.$Properties>} blobs
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.blobs = $util.emptyArray;

            /**
             * Frame integrity.
             * @member {waystone.v1.Integrity.$Properties|null|undefined} integrity
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.integrity = null;

            /**
             * Frame rawGnss.
             * @member {Uint8Array} rawGnss
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.rawGnss = $util.newBuffer([]);

            /**
             * Frame discarded.
             * @member {waystone.v1.Discarded.$Properties|null|undefined} discarded
             * @memberof waystone.v1.Frame
             * @instance
             */
            Frame.prototype.discarded = null;

            /**
             * Encodes the specified Frame message. Does not implicitly {@link waystone.v1.Frame.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.Frame
             * @static
             * @param {waystone.v1.Frame.$Properties} message Frame message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Frame.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.salt != null && $Object.hasOwnProperty.call(message, "salt") && message.salt.length)
                    writer.uint32(/* id 1, wireType 2 =*/10).bytes(message.salt);
                if (message.timeUs != null && $Object.hasOwnProperty.call(message, "timeUs") && (typeof message.timeUs === "object" ? message.timeUs.low || message.timeUs.high : message.timeUs !== 0))
                    writer.uint32(/* id 2, wireType 0 =*/16).uint64(message.timeUs);
                if (message.clock != null && $Object.hasOwnProperty.call(message, "clock"))
                    $root.waystone.v1.Clock.encode(message.clock, writer.uint32(/* id 3, wireType 2 =*/26).fork(), _depth + 1).ldelim();
                if (message.position != null && $Object.hasOwnProperty.call(message, "position"))
                    $root.waystone.v1.Position.encode(message.position, writer.uint32(/* id 4, wireType 2 =*/34).fork(), _depth + 1).ldelim();
                if (message.motion != null && $Object.hasOwnProperty.call(message, "motion"))
                    $root.waystone.v1.Motion.encode(message.motion, writer.uint32(/* id 5, wireType 2 =*/42).fork(), _depth + 1).ldelim();
                if (message.imu != null && message.imu.length)
                    for (let i = 0; i < message.imu.length; ++i)
                        $root.waystone.v1.ImuSample.encode(message.imu[i], writer.uint32(/* id 6, wireType 2 =*/50).fork(), _depth + 1).ldelim();
                if (message.wheelSpeeds != null && message.wheelSpeeds.length)
                    for (let i = 0; i < message.wheelSpeeds.length; ++i)
                        $root.waystone.v1.WheelSpeeds.encode(message.wheelSpeeds[i], writer.uint32(/* id 7, wireType 2 =*/58).fork(), _depth + 1).ldelim();
                if (message.can != null && message.can.length)
                    for (let i = 0; i < message.can.length; ++i)
                        $root.waystone.v1.CanFrame.encode(message.can[i], writer.uint32(/* id 8, wireType 2 =*/66).fork(), _depth + 1).ldelim();
                if (message.blobs != null && message.blobs.length)
                    for (let i = 0; i < message.blobs.length; ++i)
                        $root.waystone.v1.BlobReference.encode(message.blobs[i], writer.uint32(/* id 9, wireType 2 =*/74).fork(), _depth + 1).ldelim();
                if (message.integrity != null && $Object.hasOwnProperty.call(message, "integrity"))
                    $root.waystone.v1.Integrity.encode(message.integrity, writer.uint32(/* id 10, wireType 2 =*/82).fork(), _depth + 1).ldelim();
                if (message.rawGnss != null && $Object.hasOwnProperty.call(message, "rawGnss") && message.rawGnss.length)
                    writer.uint32(/* id 11, wireType 2 =*/90).bytes(message.rawGnss);
                if (message.discarded != null && $Object.hasOwnProperty.call(message, "discarded"))
                    $root.waystone.v1.Discarded.encode(message.discarded, writer.uint32(/* id 12, wireType 2 =*/98).fork(), _depth + 1).ldelim();
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a Frame message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.Frame
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.Frame & waystone.v1.Frame.$Shape} Frame
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Frame.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.Frame();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.salt = value;
                            else
                                delete message.salt;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                message.timeUs = value;
                            else
                                delete message.timeUs;
                            continue;
                        }
                    case 3: {
                            if (wireType !== 2)
                                break;
                            message.clock = $root.waystone.v1.Clock.decode(reader, reader.size(), $undefined, _depth + 1, message.clock);
                            continue;
                        }
                    case 4: {
                            if (wireType !== 2)
                                break;
                            message.position = $root.waystone.v1.Position.decode(reader, reader.size(), $undefined, _depth + 1, message.position);
                            continue;
                        }
                    case 5: {
                            if (wireType !== 2)
                                break;
                            message.motion = $root.waystone.v1.Motion.decode(reader, reader.size(), $undefined, _depth + 1, message.motion);
                            continue;
                        }
                    case 6: {
                            if (wireType !== 2)
                                break;
                            if (!(message.imu && message.imu.length))
                                message.imu = [];
                            message.imu.push($root.waystone.v1.ImuSample.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    case 7: {
                            if (wireType !== 2)
                                break;
                            if (!(message.wheelSpeeds && message.wheelSpeeds.length))
                                message.wheelSpeeds = [];
                            message.wheelSpeeds.push($root.waystone.v1.WheelSpeeds.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    case 8: {
                            if (wireType !== 2)
                                break;
                            if (!(message.can && message.can.length))
                                message.can = [];
                            message.can.push($root.waystone.v1.CanFrame.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    case 9: {
                            if (wireType !== 2)
                                break;
                            if (!(message.blobs && message.blobs.length))
                                message.blobs = [];
                            message.blobs.push($root.waystone.v1.BlobReference.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    case 10: {
                            if (wireType !== 2)
                                break;
                            message.integrity = $root.waystone.v1.Integrity.decode(reader, reader.size(), $undefined, _depth + 1, message.integrity);
                            continue;
                        }
                    case 11: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.rawGnss = value;
                            else
                                delete message.rawGnss;
                            continue;
                        }
                    case 12: {
                            if (wireType !== 2)
                                break;
                            message.discarded = $root.waystone.v1.Discarded.decode(reader, reader.size(), $undefined, _depth + 1, message.discarded);
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return Frame;
        })();

        /**
         * TimeSource enum.
         * @name waystone.v1.TimeSource
         * @enum {number}
         * @property {number} TIME_SOURCE_UNSPECIFIED=0 TIME_SOURCE_UNSPECIFIED value
         * @property {number} TIME_SOURCE_GNSS=1 TIME_SOURCE_GNSS value
         * @property {number} TIME_SOURCE_NTP=2 TIME_SOURCE_NTP value
         * @property {number} TIME_SOURCE_PTP=3 TIME_SOURCE_PTP value
         * @property {number} TIME_SOURCE_RTC=4 TIME_SOURCE_RTC value
         * @property {number} TIME_SOURCE_CELLULAR=5 TIME_SOURCE_CELLULAR value
         * @property {number} TIME_SOURCE_MONOTONIC=6 TIME_SOURCE_MONOTONIC value
         */
        v1.TimeSource = (function() {
            const valuesById = $Object.create(null), values = $Object.create(valuesById);
            values[valuesById[0] = "TIME_SOURCE_UNSPECIFIED"] = 0;
            values[valuesById[1] = "TIME_SOURCE_GNSS"] = 1;
            values[valuesById[2] = "TIME_SOURCE_NTP"] = 2;
            values[valuesById[3] = "TIME_SOURCE_PTP"] = 3;
            values[valuesById[4] = "TIME_SOURCE_RTC"] = 4;
            values[valuesById[5] = "TIME_SOURCE_CELLULAR"] = 5;
            values[valuesById[6] = "TIME_SOURCE_MONOTONIC"] = 6;
            return values;
        })();

        v1.Clock = (function() {

            /**
             * Properties of a Clock.
             * @typedef {Object} waystone.v1.Clock.$Properties
             * @property {waystone.v1.TimeSource|null} [source] Clock source
             * @property {number|null} [leapSeconds] Clock leapSeconds
             * @property {number|null} [accuracyNs] Clock accuracyNs
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a Clock.
             * @memberof waystone.v1
             * @interface IClock
             * @augments waystone.v1.Clock.$Properties
             * @deprecated Use waystone.v1.Clock.$Properties instead.
             */

            /**
             * Shape of a Clock.
             * @typedef {waystone.v1.Clock.$Properties} waystone.v1.Clock.$Shape
             */

            /**
             * Constructs a new Clock.
             * @memberof waystone.v1
             * @classdesc Represents a Clock.
             * @constructor
             * @param {waystone.v1.Clock.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const Clock = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * Clock source.
             * @member {waystone.v1.TimeSource} source
             * @memberof waystone.v1.Clock
             * @instance
             */
            Clock.prototype.source = 0;

            /**
             * Clock leapSeconds.
             * @member {number|null|undefined} leapSeconds
             * @memberof waystone.v1.Clock
             * @instance
             */
            Clock.prototype.leapSeconds = null;

            /**
             * Clock accuracyNs.
             * @member {number|null|undefined} accuracyNs
             * @memberof waystone.v1.Clock
             * @instance
             */
            Clock.prototype.accuracyNs = null;

            // OneOf field names bound to virtual getters and setters
            let $oneOfFields;

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Clock.prototype, "_leapSeconds", {
                get: $util.oneOfGetter($oneOfFields = ["leapSeconds"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Clock.prototype, "_accuracyNs", {
                get: $util.oneOfGetter($oneOfFields = ["accuracyNs"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            /**
             * Encodes the specified Clock message. Does not implicitly {@link waystone.v1.Clock.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.Clock
             * @static
             * @param {waystone.v1.Clock.$Properties} message Clock message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Clock.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.source != null && $Object.hasOwnProperty.call(message, "source") && message.source !== 0)
                    writer.uint32(/* id 1, wireType 0 =*/8).int32(message.source);
                if (message.leapSeconds != null && $Object.hasOwnProperty.call(message, "leapSeconds"))
                    writer.uint32(/* id 2, wireType 0 =*/16).sint32(message.leapSeconds);
                if (message.accuracyNs != null && $Object.hasOwnProperty.call(message, "accuracyNs"))
                    writer.uint32(/* id 3, wireType 0 =*/24).uint32(message.accuracyNs);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a Clock message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.Clock
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.Clock & waystone.v1.Clock.$Shape} Clock
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Clock.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.Clock();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.int32())
                                message.source = value;
                            else
                                delete message.source;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.leapSeconds = reader.sint32();
                            message._leapSeconds = "leapSeconds";
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.accuracyNs = reader.uint32();
                            message._accuracyNs = "accuracyNs";
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return Clock;
        })();

        /**
         * FixType enum.
         * @name waystone.v1.FixType
         * @enum {number}
         * @property {number} FIX_TYPE_UNSPECIFIED=0 FIX_TYPE_UNSPECIFIED value
         * @property {number} FIX_TYPE_NONE=1 FIX_TYPE_NONE value
         * @property {number} FIX_TYPE_2D=2 FIX_TYPE_2D value
         * @property {number} FIX_TYPE_3D=3 FIX_TYPE_3D value
         * @property {number} FIX_TYPE_DGNSS=4 FIX_TYPE_DGNSS value
         * @property {number} FIX_TYPE_RTK_FLOAT=5 FIX_TYPE_RTK_FLOAT value
         * @property {number} FIX_TYPE_RTK_FIXED=6 FIX_TYPE_RTK_FIXED value
         * @property {number} FIX_TYPE_PPP=7 FIX_TYPE_PPP value
         * @property {number} FIX_TYPE_DEAD_RECKONING=8 FIX_TYPE_DEAD_RECKONING value
         * @property {number} FIX_TYPE_GNSS_DEAD_RECKONING=9 FIX_TYPE_GNSS_DEAD_RECKONING value
         * @property {number} FIX_TYPE_MANUAL=10 FIX_TYPE_MANUAL value
         * @property {number} FIX_TYPE_SIMULATED=11 FIX_TYPE_SIMULATED value
         * @property {number} FIX_TYPE_UNKNOWN=12 FIX_TYPE_UNKNOWN value
         */
        v1.FixType = (function() {
            const valuesById = $Object.create(null), values = $Object.create(valuesById);
            values[valuesById[0] = "FIX_TYPE_UNSPECIFIED"] = 0;
            values[valuesById[1] = "FIX_TYPE_NONE"] = 1;
            values[valuesById[2] = "FIX_TYPE_2D"] = 2;
            values[valuesById[3] = "FIX_TYPE_3D"] = 3;
            values[valuesById[4] = "FIX_TYPE_DGNSS"] = 4;
            values[valuesById[5] = "FIX_TYPE_RTK_FLOAT"] = 5;
            values[valuesById[6] = "FIX_TYPE_RTK_FIXED"] = 6;
            values[valuesById[7] = "FIX_TYPE_PPP"] = 7;
            values[valuesById[8] = "FIX_TYPE_DEAD_RECKONING"] = 8;
            values[valuesById[9] = "FIX_TYPE_GNSS_DEAD_RECKONING"] = 9;
            values[valuesById[10] = "FIX_TYPE_MANUAL"] = 10;
            values[valuesById[11] = "FIX_TYPE_SIMULATED"] = 11;
            values[valuesById[12] = "FIX_TYPE_UNKNOWN"] = 12;
            return values;
        })();

        /**
         * CovarianceType enum.
         * @name waystone.v1.CovarianceType
         * @enum {number}
         * @property {number} COVARIANCE_TYPE_UNKNOWN=0 COVARIANCE_TYPE_UNKNOWN value
         * @property {number} COVARIANCE_TYPE_APPROXIMATED=1 COVARIANCE_TYPE_APPROXIMATED value
         * @property {number} COVARIANCE_TYPE_DIAGONAL_KNOWN=2 COVARIANCE_TYPE_DIAGONAL_KNOWN value
         * @property {number} COVARIANCE_TYPE_KNOWN=3 COVARIANCE_TYPE_KNOWN value
         */
        v1.CovarianceType = (function() {
            const valuesById = $Object.create(null), values = $Object.create(valuesById);
            values[valuesById[0] = "COVARIANCE_TYPE_UNKNOWN"] = 0;
            values[valuesById[1] = "COVARIANCE_TYPE_APPROXIMATED"] = 1;
            values[valuesById[2] = "COVARIANCE_TYPE_DIAGONAL_KNOWN"] = 2;
            values[valuesById[3] = "COVARIANCE_TYPE_KNOWN"] = 3;
            return values;
        })();

        v1.Position = (function() {

            /**
             * Properties of a Position.
             * @typedef {Object} waystone.v1.Position.$Properties
             * @property {number|null} [latitudeE9] Position latitudeE9
             * @property {number|null} [longitudeE9] Position longitudeE9
             * @property {number|null} [heightEllipsoidMm] Position heightEllipsoidMm
             * @property {number|null} [heightMslMm] Position heightMslMm
             * @property {number|null} [geoidSeparationMm] Position geoidSeparationMm
             * @property {waystone.v1.FixType|null} [fix] Position fix
             * @property {Array.<number>|null} [positionCovarianceMm2] Position positionCovarianceMm2
             * @property {waystone.v1.CovarianceType|null} [covarianceType] Position covarianceType
             * @property {number|null} [hdopE2] Position hdopE2
             * @property {number|null} [satellitesUsed] Position satellitesUsed
             * @property {number|null} [correctionAgeMs] Position correctionAgeMs
             * @property {string|null} [crs] Position crs
             * @property {number|null} [epochMilliyear] Position epochMilliyear
             * @property {string|null} [sensorFrame] Position sensorFrame
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a Position.
             * @memberof waystone.v1
             * @interface IPosition
             * @augments waystone.v1.Position.$Properties
             * @deprecated Use waystone.v1.Position.$Properties instead.
             */

            /**
             * Shape of a Position.
             * @typedef {waystone.v1.Position.$Properties} waystone.v1.Position.$Shape
             */

            /**
             * Constructs a new Position.
             * @memberof waystone.v1
             * @classdesc Represents a Position.
             * @constructor
             * @param {waystone.v1.Position.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const Position = function (properties) {
                this.positionCovarianceMm2 = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * Position latitudeE9.
             * @member {number} latitudeE9
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.latitudeE9 = 0;

            /**
             * Position longitudeE9.
             * @member {number} longitudeE9
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.longitudeE9 = 0;

            /**
             * Position heightEllipsoidMm.
             * @member {number|null|undefined} heightEllipsoidMm
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.heightEllipsoidMm = null;

            /**
             * Position heightMslMm.
             * @member {number|null|undefined} heightMslMm
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.heightMslMm = null;

            /**
             * Position geoidSeparationMm.
             * @member {number|null|undefined} geoidSeparationMm
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.geoidSeparationMm = null;

            /**
             * Position fix.
             * @member {waystone.v1.FixType} fix
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.fix = 0;

            /**
             * Position positionCovarianceMm2.
             * @member {Array.<number>} positionCovarianceMm2
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.positionCovarianceMm2 = $util.emptyArray;

            /**
             * Position covarianceType.
             * @member {waystone.v1.CovarianceType} covarianceType
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.covarianceType = 0;

            /**
             * Position hdopE2.
             * @member {number|null|undefined} hdopE2
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.hdopE2 = null;

            /**
             * Position satellitesUsed.
             * @member {number|null|undefined} satellitesUsed
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.satellitesUsed = null;

            /**
             * Position correctionAgeMs.
             * @member {number|null|undefined} correctionAgeMs
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.correctionAgeMs = null;

            /**
             * Position crs.
             * @member {string} crs
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.crs = "";

            /**
             * Position epochMilliyear.
             * @member {number|null|undefined} epochMilliyear
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.epochMilliyear = null;

            /**
             * Position sensorFrame.
             * @member {string} sensorFrame
             * @memberof waystone.v1.Position
             * @instance
             */
            Position.prototype.sensorFrame = "";

            // OneOf field names bound to virtual getters and setters
            let $oneOfFields;

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Position.prototype, "_heightEllipsoidMm", {
                get: $util.oneOfGetter($oneOfFields = ["heightEllipsoidMm"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Position.prototype, "_heightMslMm", {
                get: $util.oneOfGetter($oneOfFields = ["heightMslMm"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Position.prototype, "_geoidSeparationMm", {
                get: $util.oneOfGetter($oneOfFields = ["geoidSeparationMm"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Position.prototype, "_hdopE2", {
                get: $util.oneOfGetter($oneOfFields = ["hdopE2"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Position.prototype, "_satellitesUsed", {
                get: $util.oneOfGetter($oneOfFields = ["satellitesUsed"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Position.prototype, "_correctionAgeMs", {
                get: $util.oneOfGetter($oneOfFields = ["correctionAgeMs"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Position.prototype, "_epochMilliyear", {
                get: $util.oneOfGetter($oneOfFields = ["epochMilliyear"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            /**
             * Encodes the specified Position message. Does not implicitly {@link waystone.v1.Position.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.Position
             * @static
             * @param {waystone.v1.Position.$Properties} message Position message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Position.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.latitudeE9 != null && $Object.hasOwnProperty.call(message, "latitudeE9") && (typeof message.latitudeE9 === "object" ? message.latitudeE9.low || message.latitudeE9.high : message.latitudeE9 !== 0))
                    writer.uint32(/* id 1, wireType 0 =*/8).sint64(message.latitudeE9);
                if (message.longitudeE9 != null && $Object.hasOwnProperty.call(message, "longitudeE9") && (typeof message.longitudeE9 === "object" ? message.longitudeE9.low || message.longitudeE9.high : message.longitudeE9 !== 0))
                    writer.uint32(/* id 2, wireType 0 =*/16).sint64(message.longitudeE9);
                if (message.heightEllipsoidMm != null && $Object.hasOwnProperty.call(message, "heightEllipsoidMm"))
                    writer.uint32(/* id 3, wireType 0 =*/24).sint32(message.heightEllipsoidMm);
                if (message.heightMslMm != null && $Object.hasOwnProperty.call(message, "heightMslMm"))
                    writer.uint32(/* id 4, wireType 0 =*/32).sint32(message.heightMslMm);
                if (message.geoidSeparationMm != null && $Object.hasOwnProperty.call(message, "geoidSeparationMm"))
                    writer.uint32(/* id 5, wireType 0 =*/40).sint32(message.geoidSeparationMm);
                if (message.fix != null && $Object.hasOwnProperty.call(message, "fix") && message.fix !== 0)
                    writer.uint32(/* id 6, wireType 0 =*/48).int32(message.fix);
                if (message.positionCovarianceMm2 != null && message.positionCovarianceMm2.length)
                    writer.uint32(/* id 7, wireType 2 =*/58).floats(message.positionCovarianceMm2);
                if (message.covarianceType != null && $Object.hasOwnProperty.call(message, "covarianceType") && message.covarianceType !== 0)
                    writer.uint32(/* id 8, wireType 0 =*/64).int32(message.covarianceType);
                if (message.hdopE2 != null && $Object.hasOwnProperty.call(message, "hdopE2"))
                    writer.uint32(/* id 9, wireType 0 =*/72).uint32(message.hdopE2);
                if (message.satellitesUsed != null && $Object.hasOwnProperty.call(message, "satellitesUsed"))
                    writer.uint32(/* id 10, wireType 0 =*/80).uint32(message.satellitesUsed);
                if (message.correctionAgeMs != null && $Object.hasOwnProperty.call(message, "correctionAgeMs"))
                    writer.uint32(/* id 11, wireType 0 =*/88).uint32(message.correctionAgeMs);
                if (message.crs != null && $Object.hasOwnProperty.call(message, "crs") && message.crs !== "")
                    writer.uint32(/* id 12, wireType 2 =*/98).string(message.crs);
                if (message.epochMilliyear != null && $Object.hasOwnProperty.call(message, "epochMilliyear"))
                    writer.uint32(/* id 13, wireType 0 =*/104).uint32(message.epochMilliyear);
                if (message.sensorFrame != null && $Object.hasOwnProperty.call(message, "sensorFrame") && message.sensorFrame !== "")
                    writer.uint32(/* id 14, wireType 2 =*/114).string(message.sensorFrame);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a Position message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.Position
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.Position & waystone.v1.Position.$Shape} Position
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Position.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.Position();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.sint64()) === "object" ? value.low || value.high : value !== 0)
                                message.latitudeE9 = value;
                            else
                                delete message.latitudeE9;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.sint64()) === "object" ? value.low || value.high : value !== 0)
                                message.longitudeE9 = value;
                            else
                                delete message.longitudeE9;
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.heightEllipsoidMm = reader.sint32();
                            message._heightEllipsoidMm = "heightEllipsoidMm";
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.heightMslMm = reader.sint32();
                            message._heightMslMm = "heightMslMm";
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.geoidSeparationMm = reader.sint32();
                            message._geoidSeparationMm = "geoidSeparationMm";
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.int32())
                                message.fix = value;
                            else
                                delete message.fix;
                            continue;
                        }
                    case 7: {
                            if (wireType === 2) {
                                if (!(message.positionCovarianceMm2 && message.positionCovarianceMm2.length))
                                    message.positionCovarianceMm2 = [];
                                reader.floats(message.positionCovarianceMm2);
                                continue;
                            }
                            if (wireType !== 5)
                                break;
                            if (!(message.positionCovarianceMm2 && message.positionCovarianceMm2.length))
                                message.positionCovarianceMm2 = [];
                            message.positionCovarianceMm2.push(reader.float());
                            continue;
                        }
                    case 8: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.int32())
                                message.covarianceType = value;
                            else
                                delete message.covarianceType;
                            continue;
                        }
                    case 9: {
                            if (wireType !== 0)
                                break;
                            message.hdopE2 = reader.uint32();
                            message._hdopE2 = "hdopE2";
                            continue;
                        }
                    case 10: {
                            if (wireType !== 0)
                                break;
                            message.satellitesUsed = reader.uint32();
                            message._satellitesUsed = "satellitesUsed";
                            continue;
                        }
                    case 11: {
                            if (wireType !== 0)
                                break;
                            message.correctionAgeMs = reader.uint32();
                            message._correctionAgeMs = "correctionAgeMs";
                            continue;
                        }
                    case 12: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.stringVerify()).length)
                                message.crs = value;
                            else
                                delete message.crs;
                            continue;
                        }
                    case 13: {
                            if (wireType !== 0)
                                break;
                            message.epochMilliyear = reader.uint32();
                            message._epochMilliyear = "epochMilliyear";
                            continue;
                        }
                    case 14: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.stringVerify()).length)
                                message.sensorFrame = value;
                            else
                                delete message.sensorFrame;
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return Position;
        })();

        v1.Motion = (function() {

            /**
             * Properties of a Motion.
             * @typedef {Object} waystone.v1.Motion.$Properties
             * @property {number|null} [groundSpeedMmS] Motion groundSpeedMmS
             * @property {number|null} [courseE5] Motion courseE5
             * @property {number|null} [velocityEastMmS] Motion velocityEastMmS
             * @property {number|null} [velocityNorthMmS] Motion velocityNorthMmS
             * @property {number|null} [velocityUpMmS] Motion velocityUpMmS
             * @property {number|null} [rollE5] Motion rollE5
             * @property {number|null} [pitchE5] Motion pitchE5
             * @property {number|null} [headingE5] Motion headingE5
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a Motion.
             * @memberof waystone.v1
             * @interface IMotion
             * @augments waystone.v1.Motion.$Properties
             * @deprecated Use waystone.v1.Motion.$Properties instead.
             */

            /**
             * Shape of a Motion.
             * @typedef {waystone.v1.Motion.$Properties} waystone.v1.Motion.$Shape
             */

            /**
             * Constructs a new Motion.
             * @memberof waystone.v1
             * @classdesc Represents a Motion.
             * @constructor
             * @param {waystone.v1.Motion.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const Motion = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * Motion groundSpeedMmS.
             * @member {number|null|undefined} groundSpeedMmS
             * @memberof waystone.v1.Motion
             * @instance
             */
            Motion.prototype.groundSpeedMmS = null;

            /**
             * Motion courseE5.
             * @member {number|null|undefined} courseE5
             * @memberof waystone.v1.Motion
             * @instance
             */
            Motion.prototype.courseE5 = null;

            /**
             * Motion velocityEastMmS.
             * @member {number|null|undefined} velocityEastMmS
             * @memberof waystone.v1.Motion
             * @instance
             */
            Motion.prototype.velocityEastMmS = null;

            /**
             * Motion velocityNorthMmS.
             * @member {number|null|undefined} velocityNorthMmS
             * @memberof waystone.v1.Motion
             * @instance
             */
            Motion.prototype.velocityNorthMmS = null;

            /**
             * Motion velocityUpMmS.
             * @member {number|null|undefined} velocityUpMmS
             * @memberof waystone.v1.Motion
             * @instance
             */
            Motion.prototype.velocityUpMmS = null;

            /**
             * Motion rollE5.
             * @member {number|null|undefined} rollE5
             * @memberof waystone.v1.Motion
             * @instance
             */
            Motion.prototype.rollE5 = null;

            /**
             * Motion pitchE5.
             * @member {number|null|undefined} pitchE5
             * @memberof waystone.v1.Motion
             * @instance
             */
            Motion.prototype.pitchE5 = null;

            /**
             * Motion headingE5.
             * @member {number|null|undefined} headingE5
             * @memberof waystone.v1.Motion
             * @instance
             */
            Motion.prototype.headingE5 = null;

            // OneOf field names bound to virtual getters and setters
            let $oneOfFields;

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Motion.prototype, "_groundSpeedMmS", {
                get: $util.oneOfGetter($oneOfFields = ["groundSpeedMmS"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Motion.prototype, "_courseE5", {
                get: $util.oneOfGetter($oneOfFields = ["courseE5"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Motion.prototype, "_velocityEastMmS", {
                get: $util.oneOfGetter($oneOfFields = ["velocityEastMmS"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Motion.prototype, "_velocityNorthMmS", {
                get: $util.oneOfGetter($oneOfFields = ["velocityNorthMmS"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Motion.prototype, "_velocityUpMmS", {
                get: $util.oneOfGetter($oneOfFields = ["velocityUpMmS"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Motion.prototype, "_rollE5", {
                get: $util.oneOfGetter($oneOfFields = ["rollE5"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Motion.prototype, "_pitchE5", {
                get: $util.oneOfGetter($oneOfFields = ["pitchE5"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Motion.prototype, "_headingE5", {
                get: $util.oneOfGetter($oneOfFields = ["headingE5"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            /**
             * Encodes the specified Motion message. Does not implicitly {@link waystone.v1.Motion.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.Motion
             * @static
             * @param {waystone.v1.Motion.$Properties} message Motion message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Motion.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.groundSpeedMmS != null && $Object.hasOwnProperty.call(message, "groundSpeedMmS"))
                    writer.uint32(/* id 1, wireType 0 =*/8).uint32(message.groundSpeedMmS);
                if (message.courseE5 != null && $Object.hasOwnProperty.call(message, "courseE5"))
                    writer.uint32(/* id 2, wireType 0 =*/16).uint32(message.courseE5);
                if (message.velocityEastMmS != null && $Object.hasOwnProperty.call(message, "velocityEastMmS"))
                    writer.uint32(/* id 3, wireType 0 =*/24).sint32(message.velocityEastMmS);
                if (message.velocityNorthMmS != null && $Object.hasOwnProperty.call(message, "velocityNorthMmS"))
                    writer.uint32(/* id 4, wireType 0 =*/32).sint32(message.velocityNorthMmS);
                if (message.velocityUpMmS != null && $Object.hasOwnProperty.call(message, "velocityUpMmS"))
                    writer.uint32(/* id 5, wireType 0 =*/40).sint32(message.velocityUpMmS);
                if (message.rollE5 != null && $Object.hasOwnProperty.call(message, "rollE5"))
                    writer.uint32(/* id 6, wireType 0 =*/48).sint32(message.rollE5);
                if (message.pitchE5 != null && $Object.hasOwnProperty.call(message, "pitchE5"))
                    writer.uint32(/* id 7, wireType 0 =*/56).sint32(message.pitchE5);
                if (message.headingE5 != null && $Object.hasOwnProperty.call(message, "headingE5"))
                    writer.uint32(/* id 8, wireType 0 =*/64).uint32(message.headingE5);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a Motion message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.Motion
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.Motion & waystone.v1.Motion.$Shape} Motion
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Motion.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.Motion();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.groundSpeedMmS = reader.uint32();
                            message._groundSpeedMmS = "groundSpeedMmS";
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.courseE5 = reader.uint32();
                            message._courseE5 = "courseE5";
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.velocityEastMmS = reader.sint32();
                            message._velocityEastMmS = "velocityEastMmS";
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.velocityNorthMmS = reader.sint32();
                            message._velocityNorthMmS = "velocityNorthMmS";
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.velocityUpMmS = reader.sint32();
                            message._velocityUpMmS = "velocityUpMmS";
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.rollE5 = reader.sint32();
                            message._rollE5 = "rollE5";
                            continue;
                        }
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.pitchE5 = reader.sint32();
                            message._pitchE5 = "pitchE5";
                            continue;
                        }
                    case 8: {
                            if (wireType !== 0)
                                break;
                            message.headingE5 = reader.uint32();
                            message._headingE5 = "headingE5";
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return Motion;
        })();

        v1.ImuSample = (function() {

            /**
             * Properties of an ImuSample.
             * @typedef {Object} waystone.v1.ImuSample.$Properties
             * @property {number|null} [offsetUs] ImuSample offsetUs
             * @property {Array.<number>|null} [accelerationMS2] ImuSample accelerationMS2
             * @property {Array.<number>|null} [angularRateRadS] ImuSample angularRateRadS
             * @property {Array.<number>|null} [magneticFieldUt] ImuSample magneticFieldUt
             * @property {string|null} [sensorFrame] ImuSample sensorFrame
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of an ImuSample.
             * @memberof waystone.v1
             * @interface IImuSample
             * @augments waystone.v1.ImuSample.$Properties
             * @deprecated Use waystone.v1.ImuSample.$Properties instead.
             */

            /**
             * Shape of an ImuSample.
             * @typedef {waystone.v1.ImuSample.$Properties} waystone.v1.ImuSample.$Shape
             */

            /**
             * Constructs a new ImuSample.
             * @memberof waystone.v1
             * @classdesc Represents an ImuSample.
             * @constructor
             * @param {waystone.v1.ImuSample.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const ImuSample = function (properties) {
                this.accelerationMS2 = [];
                this.angularRateRadS = [];
                this.magneticFieldUt = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * ImuSample offsetUs.
             * @member {number} offsetUs
             * @memberof waystone.v1.ImuSample
             * @instance
             */
            ImuSample.prototype.offsetUs = 0;

            /**
             * ImuSample accelerationMS2.
             * @member {Array.<number>} accelerationMS2
             * @memberof waystone.v1.ImuSample
             * @instance
             */
            ImuSample.prototype.accelerationMS2 = $util.emptyArray;

            /**
             * ImuSample angularRateRadS.
             * @member {Array.<number>} angularRateRadS
             * @memberof waystone.v1.ImuSample
             * @instance
             */
            ImuSample.prototype.angularRateRadS = $util.emptyArray;

            /**
             * ImuSample magneticFieldUt.
             * @member {Array.<number>} magneticFieldUt
             * @memberof waystone.v1.ImuSample
             * @instance
             */
            ImuSample.prototype.magneticFieldUt = $util.emptyArray;

            /**
             * ImuSample sensorFrame.
             * @member {string} sensorFrame
             * @memberof waystone.v1.ImuSample
             * @instance
             */
            ImuSample.prototype.sensorFrame = "";

            /**
             * Encodes the specified ImuSample message. Does not implicitly {@link waystone.v1.ImuSample.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.ImuSample
             * @static
             * @param {waystone.v1.ImuSample.$Properties} message ImuSample message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            ImuSample.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.offsetUs != null && $Object.hasOwnProperty.call(message, "offsetUs") && message.offsetUs !== 0)
                    writer.uint32(/* id 1, wireType 0 =*/8).sint32(message.offsetUs);
                if (message.accelerationMS2 != null && message.accelerationMS2.length)
                    writer.uint32(/* id 2, wireType 2 =*/18).floats(message.accelerationMS2);
                if (message.angularRateRadS != null && message.angularRateRadS.length)
                    writer.uint32(/* id 3, wireType 2 =*/26).floats(message.angularRateRadS);
                if (message.magneticFieldUt != null && message.magneticFieldUt.length)
                    writer.uint32(/* id 4, wireType 2 =*/34).floats(message.magneticFieldUt);
                if (message.sensorFrame != null && $Object.hasOwnProperty.call(message, "sensorFrame") && message.sensorFrame !== "")
                    writer.uint32(/* id 5, wireType 2 =*/42).string(message.sensorFrame);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes an ImuSample message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.ImuSample
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.ImuSample & waystone.v1.ImuSample.$Shape} ImuSample
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            ImuSample.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.ImuSample();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.sint32())
                                message.offsetUs = value;
                            else
                                delete message.offsetUs;
                            continue;
                        }
                    case 2: {
                            if (wireType === 2) {
                                if (!(message.accelerationMS2 && message.accelerationMS2.length))
                                    message.accelerationMS2 = [];
                                reader.floats(message.accelerationMS2);
                                continue;
                            }
                            if (wireType !== 5)
                                break;
                            if (!(message.accelerationMS2 && message.accelerationMS2.length))
                                message.accelerationMS2 = [];
                            message.accelerationMS2.push(reader.float());
                            continue;
                        }
                    case 3: {
                            if (wireType === 2) {
                                if (!(message.angularRateRadS && message.angularRateRadS.length))
                                    message.angularRateRadS = [];
                                reader.floats(message.angularRateRadS);
                                continue;
                            }
                            if (wireType !== 5)
                                break;
                            if (!(message.angularRateRadS && message.angularRateRadS.length))
                                message.angularRateRadS = [];
                            message.angularRateRadS.push(reader.float());
                            continue;
                        }
                    case 4: {
                            if (wireType === 2) {
                                if (!(message.magneticFieldUt && message.magneticFieldUt.length))
                                    message.magneticFieldUt = [];
                                reader.floats(message.magneticFieldUt);
                                continue;
                            }
                            if (wireType !== 5)
                                break;
                            if (!(message.magneticFieldUt && message.magneticFieldUt.length))
                                message.magneticFieldUt = [];
                            message.magneticFieldUt.push(reader.float());
                            continue;
                        }
                    case 5: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.stringVerify()).length)
                                message.sensorFrame = value;
                            else
                                delete message.sensorFrame;
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return ImuSample;
        })();

        v1.WheelSpeeds = (function() {

            /**
             * Properties of a WheelSpeeds.
             * @typedef {Object} waystone.v1.WheelSpeeds.$Properties
             * @property {number|null} [offsetUs] WheelSpeeds offsetUs
             * @property {number|null} [frontLeftMmS] WheelSpeeds frontLeftMmS
             * @property {number|null} [frontRightMmS] WheelSpeeds frontRightMmS
             * @property {number|null} [rearLeftMmS] WheelSpeeds rearLeftMmS
             * @property {number|null} [rearRightMmS] WheelSpeeds rearRightMmS
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a WheelSpeeds.
             * @memberof waystone.v1
             * @interface IWheelSpeeds
             * @augments waystone.v1.WheelSpeeds.$Properties
             * @deprecated Use waystone.v1.WheelSpeeds.$Properties instead.
             */

            /**
             * Shape of a WheelSpeeds.
             * @typedef {waystone.v1.WheelSpeeds.$Properties} waystone.v1.WheelSpeeds.$Shape
             */

            /**
             * Constructs a new WheelSpeeds.
             * @memberof waystone.v1
             * @classdesc Represents a WheelSpeeds.
             * @constructor
             * @param {waystone.v1.WheelSpeeds.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const WheelSpeeds = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * WheelSpeeds offsetUs.
             * @member {number} offsetUs
             * @memberof waystone.v1.WheelSpeeds
             * @instance
             */
            WheelSpeeds.prototype.offsetUs = 0;

            /**
             * WheelSpeeds frontLeftMmS.
             * @member {number|null|undefined} frontLeftMmS
             * @memberof waystone.v1.WheelSpeeds
             * @instance
             */
            WheelSpeeds.prototype.frontLeftMmS = null;

            /**
             * WheelSpeeds frontRightMmS.
             * @member {number|null|undefined} frontRightMmS
             * @memberof waystone.v1.WheelSpeeds
             * @instance
             */
            WheelSpeeds.prototype.frontRightMmS = null;

            /**
             * WheelSpeeds rearLeftMmS.
             * @member {number|null|undefined} rearLeftMmS
             * @memberof waystone.v1.WheelSpeeds
             * @instance
             */
            WheelSpeeds.prototype.rearLeftMmS = null;

            /**
             * WheelSpeeds rearRightMmS.
             * @member {number|null|undefined} rearRightMmS
             * @memberof waystone.v1.WheelSpeeds
             * @instance
             */
            WheelSpeeds.prototype.rearRightMmS = null;

            // OneOf field names bound to virtual getters and setters
            let $oneOfFields;

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(WheelSpeeds.prototype, "_frontLeftMmS", {
                get: $util.oneOfGetter($oneOfFields = ["frontLeftMmS"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(WheelSpeeds.prototype, "_frontRightMmS", {
                get: $util.oneOfGetter($oneOfFields = ["frontRightMmS"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(WheelSpeeds.prototype, "_rearLeftMmS", {
                get: $util.oneOfGetter($oneOfFields = ["rearLeftMmS"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(WheelSpeeds.prototype, "_rearRightMmS", {
                get: $util.oneOfGetter($oneOfFields = ["rearRightMmS"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            /**
             * Encodes the specified WheelSpeeds message. Does not implicitly {@link waystone.v1.WheelSpeeds.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.WheelSpeeds
             * @static
             * @param {waystone.v1.WheelSpeeds.$Properties} message WheelSpeeds message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            WheelSpeeds.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.offsetUs != null && $Object.hasOwnProperty.call(message, "offsetUs") && message.offsetUs !== 0)
                    writer.uint32(/* id 1, wireType 0 =*/8).sint32(message.offsetUs);
                if (message.frontLeftMmS != null && $Object.hasOwnProperty.call(message, "frontLeftMmS"))
                    writer.uint32(/* id 2, wireType 0 =*/16).sint32(message.frontLeftMmS);
                if (message.frontRightMmS != null && $Object.hasOwnProperty.call(message, "frontRightMmS"))
                    writer.uint32(/* id 3, wireType 0 =*/24).sint32(message.frontRightMmS);
                if (message.rearLeftMmS != null && $Object.hasOwnProperty.call(message, "rearLeftMmS"))
                    writer.uint32(/* id 4, wireType 0 =*/32).sint32(message.rearLeftMmS);
                if (message.rearRightMmS != null && $Object.hasOwnProperty.call(message, "rearRightMmS"))
                    writer.uint32(/* id 5, wireType 0 =*/40).sint32(message.rearRightMmS);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a WheelSpeeds message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.WheelSpeeds
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.WheelSpeeds & waystone.v1.WheelSpeeds.$Shape} WheelSpeeds
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            WheelSpeeds.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.WheelSpeeds();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.sint32())
                                message.offsetUs = value;
                            else
                                delete message.offsetUs;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.frontLeftMmS = reader.sint32();
                            message._frontLeftMmS = "frontLeftMmS";
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.frontRightMmS = reader.sint32();
                            message._frontRightMmS = "frontRightMmS";
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.rearLeftMmS = reader.sint32();
                            message._rearLeftMmS = "rearLeftMmS";
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.rearRightMmS = reader.sint32();
                            message._rearRightMmS = "rearRightMmS";
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return WheelSpeeds;
        })();

        v1.CanFrame = (function() {

            /**
             * Properties of a CanFrame.
             * @typedef {Object} waystone.v1.CanFrame.$Properties
             * @property {number|null} [offsetUs] CanFrame offsetUs
             * @property {number|null} [id] CanFrame id
             * @property {boolean|null} [extended] CanFrame extended
             * @property {Uint8Array|null} [data] CanFrame data
             * @property {number|null} [bus] CanFrame bus
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a CanFrame.
             * @memberof waystone.v1
             * @interface ICanFrame
             * @augments waystone.v1.CanFrame.$Properties
             * @deprecated Use waystone.v1.CanFrame.$Properties instead.
             */

            /**
             * Shape of a CanFrame.
             * @typedef {waystone.v1.CanFrame.$Properties} waystone.v1.CanFrame.$Shape
             */

            /**
             * Constructs a new CanFrame.
             * @memberof waystone.v1
             * @classdesc Represents a CanFrame.
             * @constructor
             * @param {waystone.v1.CanFrame.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const CanFrame = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * CanFrame offsetUs.
             * @member {number} offsetUs
             * @memberof waystone.v1.CanFrame
             * @instance
             */
            CanFrame.prototype.offsetUs = 0;

            /**
             * CanFrame id.
             * @member {number} id
             * @memberof waystone.v1.CanFrame
             * @instance
             */
            CanFrame.prototype.id = 0;

            /**
             * CanFrame extended.
             * @member {boolean} extended
             * @memberof waystone.v1.CanFrame
             * @instance
             */
            CanFrame.prototype.extended = false;

            /**
             * CanFrame data.
             * @member {Uint8Array} data
             * @memberof waystone.v1.CanFrame
             * @instance
             */
            CanFrame.prototype.data = $util.newBuffer([]);

            /**
             * CanFrame bus.
             * @member {number} bus
             * @memberof waystone.v1.CanFrame
             * @instance
             */
            CanFrame.prototype.bus = 0;

            /**
             * Encodes the specified CanFrame message. Does not implicitly {@link waystone.v1.CanFrame.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.CanFrame
             * @static
             * @param {waystone.v1.CanFrame.$Properties} message CanFrame message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            CanFrame.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.offsetUs != null && $Object.hasOwnProperty.call(message, "offsetUs") && message.offsetUs !== 0)
                    writer.uint32(/* id 1, wireType 0 =*/8).sint32(message.offsetUs);
                if (message.id != null && $Object.hasOwnProperty.call(message, "id") && message.id !== 0)
                    writer.uint32(/* id 2, wireType 0 =*/16).uint32(message.id);
                if (message.extended != null && $Object.hasOwnProperty.call(message, "extended") && message.extended !== false)
                    writer.uint32(/* id 3, wireType 0 =*/24).bool(message.extended);
                if (message.data != null && $Object.hasOwnProperty.call(message, "data") && message.data.length)
                    writer.uint32(/* id 4, wireType 2 =*/34).bytes(message.data);
                if (message.bus != null && $Object.hasOwnProperty.call(message, "bus") && message.bus !== 0)
                    writer.uint32(/* id 5, wireType 0 =*/40).uint32(message.bus);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a CanFrame message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.CanFrame
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.CanFrame & waystone.v1.CanFrame.$Shape} CanFrame
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            CanFrame.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.CanFrame();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.sint32())
                                message.offsetUs = value;
                            else
                                delete message.offsetUs;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.uint32())
                                message.id = value;
                            else
                                delete message.id;
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.bool())
                                message.extended = value;
                            else
                                delete message.extended;
                            continue;
                        }
                    case 4: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.data = value;
                            else
                                delete message.data;
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.uint32())
                                message.bus = value;
                            else
                                delete message.bus;
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return CanFrame;
        })();

        v1.BlobReference = (function() {

            /**
             * Properties of a BlobReference.
             * @typedef {Object} waystone.v1.BlobReference.$Properties
             * @property {Uint8Array|null} [sha256] BlobReference sha256
             * @property {number|null} [sizeBytes] BlobReference sizeBytes
             * @property {string|null} [mediaType] BlobReference mediaType
             * @property {string|null} [sensorFrame] BlobReference sensorFrame
             * @property {number|null} [offsetUs] BlobReference offsetUs
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a BlobReference.
             * @memberof waystone.v1
             * @interface IBlobReference
             * @augments waystone.v1.BlobReference.$Properties
             * @deprecated Use waystone.v1.BlobReference.$Properties instead.
             */

            /**
             * Shape of a BlobReference.
             * @typedef {waystone.v1.BlobReference.$Properties} waystone.v1.BlobReference.$Shape
             */

            /**
             * Constructs a new BlobReference.
             * @memberof waystone.v1
             * @classdesc Represents a BlobReference.
             * @constructor
             * @param {waystone.v1.BlobReference.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const BlobReference = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * BlobReference sha256.
             * @member {Uint8Array} sha256
             * @memberof waystone.v1.BlobReference
             * @instance
             */
            BlobReference.prototype.sha256 = $util.newBuffer([]);

            /**
             * BlobReference sizeBytes.
             * @member {number} sizeBytes
             * @memberof waystone.v1.BlobReference
             * @instance
             */
            BlobReference.prototype.sizeBytes = 0;

            /**
             * BlobReference mediaType.
             * @member {string} mediaType
             * @memberof waystone.v1.BlobReference
             * @instance
             */
            BlobReference.prototype.mediaType = "";

            /**
             * BlobReference sensorFrame.
             * @member {string} sensorFrame
             * @memberof waystone.v1.BlobReference
             * @instance
             */
            BlobReference.prototype.sensorFrame = "";

            /**
             * BlobReference offsetUs.
             * @member {number} offsetUs
             * @memberof waystone.v1.BlobReference
             * @instance
             */
            BlobReference.prototype.offsetUs = 0;

            /**
             * Encodes the specified BlobReference message. Does not implicitly {@link waystone.v1.BlobReference.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.BlobReference
             * @static
             * @param {waystone.v1.BlobReference.$Properties} message BlobReference message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            BlobReference.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.sha256 != null && $Object.hasOwnProperty.call(message, "sha256") && message.sha256.length)
                    writer.uint32(/* id 1, wireType 2 =*/10).bytes(message.sha256);
                if (message.sizeBytes != null && $Object.hasOwnProperty.call(message, "sizeBytes") && (typeof message.sizeBytes === "object" ? message.sizeBytes.low || message.sizeBytes.high : message.sizeBytes !== 0))
                    writer.uint32(/* id 2, wireType 0 =*/16).uint64(message.sizeBytes);
                if (message.mediaType != null && $Object.hasOwnProperty.call(message, "mediaType") && message.mediaType !== "")
                    writer.uint32(/* id 3, wireType 2 =*/26).string(message.mediaType);
                if (message.sensorFrame != null && $Object.hasOwnProperty.call(message, "sensorFrame") && message.sensorFrame !== "")
                    writer.uint32(/* id 4, wireType 2 =*/34).string(message.sensorFrame);
                if (message.offsetUs != null && $Object.hasOwnProperty.call(message, "offsetUs") && message.offsetUs !== 0)
                    writer.uint32(/* id 5, wireType 0 =*/40).sint32(message.offsetUs);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a BlobReference message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.BlobReference
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.BlobReference & waystone.v1.BlobReference.$Shape} BlobReference
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            BlobReference.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.BlobReference();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.sha256 = value;
                            else
                                delete message.sha256;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                message.sizeBytes = value;
                            else
                                delete message.sizeBytes;
                            continue;
                        }
                    case 3: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.stringVerify()).length)
                                message.mediaType = value;
                            else
                                delete message.mediaType;
                            continue;
                        }
                    case 4: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.stringVerify()).length)
                                message.sensorFrame = value;
                            else
                                delete message.sensorFrame;
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.sint32())
                                message.offsetUs = value;
                            else
                                delete message.offsetUs;
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return BlobReference;
        })();

        v1.Integrity = (function() {

            /**
             * Properties of an Integrity.
             * @typedef {Object} waystone.v1.Integrity.$Properties
             * @property {number|null} [jammingIndicator] Integrity jammingIndicator
             * @property {waystone.v1.Integrity.SpoofingState|null} [spoofing] Integrity spoofing
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of an Integrity.
             * @memberof waystone.v1
             * @interface IIntegrity
             * @augments waystone.v1.Integrity.$Properties
             * @deprecated Use waystone.v1.Integrity.$Properties instead.
             */

            /**
             * Shape of an Integrity.
             * @typedef {waystone.v1.Integrity.$Properties} waystone.v1.Integrity.$Shape
             */

            /**
             * Constructs a new Integrity.
             * @memberof waystone.v1
             * @classdesc Represents an Integrity.
             * @constructor
             * @param {waystone.v1.Integrity.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const Integrity = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * Integrity jammingIndicator.
             * @member {number|null|undefined} jammingIndicator
             * @memberof waystone.v1.Integrity
             * @instance
             */
            Integrity.prototype.jammingIndicator = null;

            /**
             * Integrity spoofing.
             * @member {waystone.v1.Integrity.SpoofingState} spoofing
             * @memberof waystone.v1.Integrity
             * @instance
             */
            Integrity.prototype.spoofing = 0;

            // OneOf field names bound to virtual getters and setters
            let $oneOfFields;

            // Virtual OneOf for proto3 optional field
            $Object.defineProperty(Integrity.prototype, "_jammingIndicator", {
                get: $util.oneOfGetter($oneOfFields = ["jammingIndicator"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            /**
             * Encodes the specified Integrity message. Does not implicitly {@link waystone.v1.Integrity.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.Integrity
             * @static
             * @param {waystone.v1.Integrity.$Properties} message Integrity message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Integrity.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.jammingIndicator != null && $Object.hasOwnProperty.call(message, "jammingIndicator"))
                    writer.uint32(/* id 1, wireType 0 =*/8).uint32(message.jammingIndicator);
                if (message.spoofing != null && $Object.hasOwnProperty.call(message, "spoofing") && message.spoofing !== 0)
                    writer.uint32(/* id 2, wireType 0 =*/16).int32(message.spoofing);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes an Integrity message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.Integrity
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.Integrity & waystone.v1.Integrity.$Shape} Integrity
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Integrity.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.Integrity();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.jammingIndicator = reader.uint32();
                            message._jammingIndicator = "jammingIndicator";
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.int32())
                                message.spoofing = value;
                            else
                                delete message.spoofing;
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            /**
             * SpoofingState enum.
             * @name waystone.v1.Integrity.SpoofingState
             * @enum {number}
             * @property {number} SPOOFING_STATE_UNSPECIFIED=0 SPOOFING_STATE_UNSPECIFIED value
             * @property {number} SPOOFING_STATE_NONE=1 SPOOFING_STATE_NONE value
             * @property {number} SPOOFING_STATE_INDICATED=2 SPOOFING_STATE_INDICATED value
             * @property {number} SPOOFING_STATE_MULTIPLE=3 SPOOFING_STATE_MULTIPLE value
             */
            Integrity.SpoofingState = (function() {
                const valuesById = $Object.create(null), values = $Object.create(valuesById);
                values[valuesById[0] = "SPOOFING_STATE_UNSPECIFIED"] = 0;
                values[valuesById[1] = "SPOOFING_STATE_NONE"] = 1;
                values[valuesById[2] = "SPOOFING_STATE_INDICATED"] = 2;
                values[valuesById[3] = "SPOOFING_STATE_MULTIPLE"] = 3;
                return values;
            })();

            return Integrity;
        })();

        v1.Discarded = (function() {

            /**
             * Properties of a Discarded.
             * @typedef {Object} waystone.v1.Discarded.$Properties
             * @property {number|null} [stream] Discarded stream
             * @property {number|null} [first] Discarded first
             * @property {number|null} [last] Discarded last
             * @property {waystone.v1.Discarded.Reason|null} [reason] Discarded reason
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a Discarded.
             * @memberof waystone.v1
             * @interface IDiscarded
             * @augments waystone.v1.Discarded.$Properties
             * @deprecated Use waystone.v1.Discarded.$Properties instead.
             */

            /**
             * Shape of a Discarded.
             * @typedef {waystone.v1.Discarded.$Properties} waystone.v1.Discarded.$Shape
             */

            /**
             * Constructs a new Discarded.
             * @memberof waystone.v1
             * @classdesc Represents a Discarded.
             * @constructor
             * @param {waystone.v1.Discarded.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const Discarded = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * Discarded stream.
             * @member {number} stream
             * @memberof waystone.v1.Discarded
             * @instance
             */
            Discarded.prototype.stream = 0;

            /**
             * Discarded first.
             * @member {number} first
             * @memberof waystone.v1.Discarded
             * @instance
             */
            Discarded.prototype.first = 0;

            /**
             * Discarded last.
             * @member {number} last
             * @memberof waystone.v1.Discarded
             * @instance
             */
            Discarded.prototype.last = 0;

            /**
             * Discarded reason.
             * @member {waystone.v1.Discarded.Reason} reason
             * @memberof waystone.v1.Discarded
             * @instance
             */
            Discarded.prototype.reason = 0;

            /**
             * Encodes the specified Discarded message. Does not implicitly {@link waystone.v1.Discarded.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.Discarded
             * @static
             * @param {waystone.v1.Discarded.$Properties} message Discarded message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Discarded.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.stream != null && $Object.hasOwnProperty.call(message, "stream") && message.stream !== 0)
                    writer.uint32(/* id 1, wireType 0 =*/8).uint32(message.stream);
                if (message.first != null && $Object.hasOwnProperty.call(message, "first") && (typeof message.first === "object" ? message.first.low || message.first.high : message.first !== 0))
                    writer.uint32(/* id 2, wireType 0 =*/16).uint64(message.first);
                if (message.last != null && $Object.hasOwnProperty.call(message, "last") && (typeof message.last === "object" ? message.last.low || message.last.high : message.last !== 0))
                    writer.uint32(/* id 3, wireType 0 =*/24).uint64(message.last);
                if (message.reason != null && $Object.hasOwnProperty.call(message, "reason") && message.reason !== 0)
                    writer.uint32(/* id 4, wireType 0 =*/32).int32(message.reason);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a Discarded message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.Discarded
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.Discarded & waystone.v1.Discarded.$Shape} Discarded
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Discarded.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.Discarded();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.uint32())
                                message.stream = value;
                            else
                                delete message.stream;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                message.first = value;
                            else
                                delete message.first;
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                message.last = value;
                            else
                                delete message.last;
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.int32())
                                message.reason = value;
                            else
                                delete message.reason;
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            /**
             * Reason enum.
             * @name waystone.v1.Discarded.Reason
             * @enum {number}
             * @property {number} REASON_UNSPECIFIED=0 REASON_UNSPECIFIED value
             * @property {number} REASON_STORAGE_FULL=1 REASON_STORAGE_FULL value
             * @property {number} REASON_QUEUE_FULL=2 REASON_QUEUE_FULL value
             * @property {number} REASON_SENSOR_FAULT=3 REASON_SENSOR_FAULT value
             * @property {number} REASON_POWER=4 REASON_POWER value
             */
            Discarded.Reason = (function() {
                const valuesById = $Object.create(null), values = $Object.create(valuesById);
                values[valuesById[0] = "REASON_UNSPECIFIED"] = 0;
                values[valuesById[1] = "REASON_STORAGE_FULL"] = 1;
                values[valuesById[2] = "REASON_QUEUE_FULL"] = 2;
                values[valuesById[3] = "REASON_SENSOR_FAULT"] = 3;
                values[valuesById[4] = "REASON_POWER"] = 4;
                return values;
            })();

            return Discarded;
        })();

        v1.Hello = (function() {

            /**
             * Properties of a Hello.
             * @typedef {Object} waystone.v1.Hello.$Properties
             * @property {waystone.v1.Hello.State|null} [state] Hello state
             * @property {Uint8Array|null} [session] Hello session
             * @property {number|null} [counter] Hello counter
             * @property {Array.<Uint8Array>|null} [queuedSessions] Hello queuedSessions
             * @property {Array.<waystone.v1.StatementReference.$Properties>|null} [wantedReceipts] Hello wantedReceipts
             * @property {string|null} [software] Hello software
             * @property {waystone.v1.EnrolmentProof.$Properties|null} [enrolment] Hello enrolment
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a Hello.
             * @memberof waystone.v1
             * @interface IHello
             * @augments waystone.v1.Hello.$Properties
             * @deprecated Use waystone.v1.Hello.$Properties instead.
             */

            /**
             * Shape of a Hello.
             * @typedef {waystone.v1.Hello.$Properties} waystone.v1.Hello.$Shape
             */

            /**
             * Constructs a new Hello.
             * @memberof waystone.v1
             * @classdesc Represents a Hello.
             * @constructor
             * @param {waystone.v1.Hello.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const Hello = function (properties) {
                this.queuedSessions = [];
                this.wantedReceipts = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * Hello state.
             * @member {waystone.v1.Hello.State} state
             * @memberof waystone.v1.Hello
             * @instance
             */
            Hello.prototype.state = 0;

            /**
             * Hello session.
             * @member {Uint8Array} session
             * @memberof waystone.v1.Hello
             * @instance
             */
            Hello.prototype.session = $util.newBuffer([]);

            /**
             * Hello counter.
             * @member {number} counter
             * @memberof waystone.v1.Hello
             * @instance
             */
            Hello.prototype.counter = 0;

            /**
             * Hello queuedSessions.
             * @member {Array.<Uint8Array>} queuedSessions
             * @memberof waystone.v1.Hello
             * @instance
             */
            Hello.prototype.queuedSessions = $util.emptyArray;

            /**
             * Hello wantedReceipts.
             * @member {Array.<waystone.v1.StatementReference.$Properties>} wantedReceipts
             * @memberof waystone.v1.Hello
             * @instance
             */
            Hello.prototype.wantedReceipts = $util.emptyArray;

            /**
             * Hello software.
             * @member {string} software
             * @memberof waystone.v1.Hello
             * @instance
             */
            Hello.prototype.software = "";

            /**
             * Hello enrolment.
             * @member {waystone.v1.EnrolmentProof.$Properties|null|undefined} enrolment
             * @memberof waystone.v1.Hello
             * @instance
             */
            Hello.prototype.enrolment = null;

            /**
             * Encodes the specified Hello message. Does not implicitly {@link waystone.v1.Hello.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.Hello
             * @static
             * @param {waystone.v1.Hello.$Properties} message Hello message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Hello.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.state != null && $Object.hasOwnProperty.call(message, "state") && message.state !== 0)
                    writer.uint32(/* id 1, wireType 0 =*/8).int32(message.state);
                if (message.session != null && $Object.hasOwnProperty.call(message, "session") && message.session.length)
                    writer.uint32(/* id 2, wireType 2 =*/18).bytes(message.session);
                if (message.counter != null && $Object.hasOwnProperty.call(message, "counter") && (typeof message.counter === "object" ? message.counter.low || message.counter.high : message.counter !== 0))
                    writer.uint32(/* id 3, wireType 0 =*/24).uint64(message.counter);
                if (message.queuedSessions != null && message.queuedSessions.length)
                    for (let i = 0; i < message.queuedSessions.length; ++i)
                        writer.uint32(/* id 4, wireType 2 =*/34).bytes(message.queuedSessions[i]);
                if (message.wantedReceipts != null && message.wantedReceipts.length)
                    for (let i = 0; i < message.wantedReceipts.length; ++i)
                        $root.waystone.v1.StatementReference.encode(message.wantedReceipts[i], writer.uint32(/* id 5, wireType 2 =*/42).fork(), _depth + 1).ldelim();
                if (message.software != null && $Object.hasOwnProperty.call(message, "software") && message.software !== "")
                    writer.uint32(/* id 6, wireType 2 =*/50).string(message.software);
                if (message.enrolment != null && $Object.hasOwnProperty.call(message, "enrolment"))
                    $root.waystone.v1.EnrolmentProof.encode(message.enrolment, writer.uint32(/* id 7, wireType 2 =*/58).fork(), _depth + 1).ldelim();
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a Hello message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.Hello
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.Hello & waystone.v1.Hello.$Shape} Hello
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Hello.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.Hello();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.int32())
                                message.state = value;
                            else
                                delete message.state;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.session = value;
                            else
                                delete message.session;
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                message.counter = value;
                            else
                                delete message.counter;
                            continue;
                        }
                    case 4: {
                            if (wireType !== 2)
                                break;
                            if (!(message.queuedSessions && message.queuedSessions.length))
                                message.queuedSessions = [];
                            message.queuedSessions.push(reader.bytes());
                            continue;
                        }
                    case 5: {
                            if (wireType !== 2)
                                break;
                            if (!(message.wantedReceipts && message.wantedReceipts.length))
                                message.wantedReceipts = [];
                            message.wantedReceipts.push($root.waystone.v1.StatementReference.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    case 6: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.stringVerify()).length)
                                message.software = value;
                            else
                                delete message.software;
                            continue;
                        }
                    case 7: {
                            if (wireType !== 2)
                                break;
                            message.enrolment = $root.waystone.v1.EnrolmentProof.decode(reader, reader.size(), $undefined, _depth + 1, message.enrolment);
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            /**
             * State enum.
             * @name waystone.v1.Hello.State
             * @enum {number}
             * @property {number} STATE_UNSPECIFIED=0 STATE_UNSPECIFIED value
             * @property {number} STATE_ONLINE=1 STATE_ONLINE value
             * @property {number} STATE_OFFLINE=2 STATE_OFFLINE value
             */
            Hello.State = (function() {
                const valuesById = $Object.create(null), values = $Object.create(valuesById);
                values[valuesById[0] = "STATE_UNSPECIFIED"] = 0;
                values[valuesById[1] = "STATE_ONLINE"] = 1;
                values[valuesById[2] = "STATE_OFFLINE"] = 2;
                return values;
            })();

            return Hello;
        })();

        v1.EnrolmentProof = (function() {

            /**
             * Properties of an EnrolmentProof.
             * @typedef {Object} waystone.v1.EnrolmentProof.$Properties
             * @property {number|null} [expiry] EnrolmentProof expiry
             * @property {Uint8Array|null} [signature] EnrolmentProof signature
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of an EnrolmentProof.
             * @memberof waystone.v1
             * @interface IEnrolmentProof
             * @augments waystone.v1.EnrolmentProof.$Properties
             * @deprecated Use waystone.v1.EnrolmentProof.$Properties instead.
             */

            /**
             * Shape of an EnrolmentProof.
             * @typedef {waystone.v1.EnrolmentProof.$Properties} waystone.v1.EnrolmentProof.$Shape
             */

            /**
             * Constructs a new EnrolmentProof.
             * @memberof waystone.v1
             * @classdesc Represents an EnrolmentProof.
             * @constructor
             * @param {waystone.v1.EnrolmentProof.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const EnrolmentProof = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * EnrolmentProof expiry.
             * @member {number} expiry
             * @memberof waystone.v1.EnrolmentProof
             * @instance
             */
            EnrolmentProof.prototype.expiry = 0;

            /**
             * EnrolmentProof signature.
             * @member {Uint8Array} signature
             * @memberof waystone.v1.EnrolmentProof
             * @instance
             */
            EnrolmentProof.prototype.signature = $util.newBuffer([]);

            /**
             * Encodes the specified EnrolmentProof message. Does not implicitly {@link waystone.v1.EnrolmentProof.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.EnrolmentProof
             * @static
             * @param {waystone.v1.EnrolmentProof.$Properties} message EnrolmentProof message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            EnrolmentProof.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.expiry != null && $Object.hasOwnProperty.call(message, "expiry") && (typeof message.expiry === "object" ? message.expiry.low || message.expiry.high : message.expiry !== 0))
                    writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.expiry);
                if (message.signature != null && $Object.hasOwnProperty.call(message, "signature") && message.signature.length)
                    writer.uint32(/* id 2, wireType 2 =*/18).bytes(message.signature);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes an EnrolmentProof message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.EnrolmentProof
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.EnrolmentProof & waystone.v1.EnrolmentProof.$Shape} EnrolmentProof
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            EnrolmentProof.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.EnrolmentProof();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                message.expiry = value;
                            else
                                delete message.expiry;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.signature = value;
                            else
                                delete message.signature;
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return EnrolmentProof;
        })();

        v1.StatementReference = (function() {

            /**
             * Properties of a StatementReference.
             * @typedef {Object} waystone.v1.StatementReference.$Properties
             * @property {Uint8Array|null} [session] StatementReference session
             * @property {number|null} [stream] StatementReference stream
             * @property {number|null} [firstSequence] StatementReference firstSequence
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a StatementReference.
             * @memberof waystone.v1
             * @interface IStatementReference
             * @augments waystone.v1.StatementReference.$Properties
             * @deprecated Use waystone.v1.StatementReference.$Properties instead.
             */

            /**
             * Shape of a StatementReference.
             * @typedef {waystone.v1.StatementReference.$Properties} waystone.v1.StatementReference.$Shape
             */

            /**
             * Constructs a new StatementReference.
             * @memberof waystone.v1
             * @classdesc Represents a StatementReference.
             * @constructor
             * @param {waystone.v1.StatementReference.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const StatementReference = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * StatementReference session.
             * @member {Uint8Array} session
             * @memberof waystone.v1.StatementReference
             * @instance
             */
            StatementReference.prototype.session = $util.newBuffer([]);

            /**
             * StatementReference stream.
             * @member {number} stream
             * @memberof waystone.v1.StatementReference
             * @instance
             */
            StatementReference.prototype.stream = 0;

            /**
             * StatementReference firstSequence.
             * @member {number} firstSequence
             * @memberof waystone.v1.StatementReference
             * @instance
             */
            StatementReference.prototype.firstSequence = 0;

            /**
             * Encodes the specified StatementReference message. Does not implicitly {@link waystone.v1.StatementReference.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.StatementReference
             * @static
             * @param {waystone.v1.StatementReference.$Properties} message StatementReference message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            StatementReference.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.session != null && $Object.hasOwnProperty.call(message, "session") && message.session.length)
                    writer.uint32(/* id 1, wireType 2 =*/10).bytes(message.session);
                if (message.stream != null && $Object.hasOwnProperty.call(message, "stream") && message.stream !== 0)
                    writer.uint32(/* id 2, wireType 0 =*/16).uint32(message.stream);
                if (message.firstSequence != null && $Object.hasOwnProperty.call(message, "firstSequence") && (typeof message.firstSequence === "object" ? message.firstSequence.low || message.firstSequence.high : message.firstSequence !== 0))
                    writer.uint32(/* id 3, wireType 0 =*/24).uint64(message.firstSequence);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a StatementReference message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.StatementReference
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.StatementReference & waystone.v1.StatementReference.$Shape} StatementReference
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            StatementReference.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.StatementReference();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.session = value;
                            else
                                delete message.session;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.uint32())
                                message.stream = value;
                            else
                                delete message.stream;
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                message.firstSequence = value;
                            else
                                delete message.firstSequence;
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return StatementReference;
        })();

        v1.Config = (function() {

            /**
             * Properties of a Config.
             * @typedef {Object} waystone.v1.Config.$Properties
             * @property {Uint8Array|null} [realm] Config realm
             * @property {Array.<waystone.v1.Config.Stream.$Properties>|null} [streams] Config streams
             * @property {number|null} [envelopeBytesMax] Config envelopeBytesMax
             * @property {string|null} [gateway] Config gateway
             * @property {Uint8Array|null} [nextKeyHash] Config nextKeyHash
             * @property {waystone.v1.Config.Enrolment.$Properties|null} [enrolment] Config enrolment
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */

            /**
             * Properties of a Config.
             * @memberof waystone.v1
             * @interface IConfig
             * @augments waystone.v1.Config.$Properties
             * @deprecated Use waystone.v1.Config.$Properties instead.
             */

            /**
             * Shape of a Config.
             * @typedef {waystone.v1.Config.$Properties} waystone.v1.Config.$Shape
             */

            /**
             * Constructs a new Config.
             * @memberof waystone.v1
             * @classdesc Represents a Config.
             * @constructor
             * @param {waystone.v1.Config.$Properties=} [properties] Properties to set
             * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
             */
            const Config = function (properties) {
                this.streams = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            /**
             * Config realm.
             * @member {Uint8Array} realm
             * @memberof waystone.v1.Config
             * @instance
             */
            Config.prototype.realm = $util.newBuffer([]);

            /**
             * Config streams.
             * @member {Array.<waystone.v1.Config.Stream.$Properties>} streams
             * @memberof waystone.v1.Config
             * @instance
             */
            Config.prototype.streams = $util.emptyArray;

            /**
             * Config envelopeBytesMax.
             * @member {number} envelopeBytesMax
             * @memberof waystone.v1.Config
             * @instance
             */
            Config.prototype.envelopeBytesMax = 0;

            /**
             * Config gateway.
             * @member {string} gateway
             * @memberof waystone.v1.Config
             * @instance
             */
            Config.prototype.gateway = "";

            /**
             * Config nextKeyHash.
             * @member {Uint8Array} nextKeyHash
             * @memberof waystone.v1.Config
             * @instance
             */
            Config.prototype.nextKeyHash = $util.newBuffer([]);

            /**
             * Config enrolment.
             * @member {waystone.v1.Config.Enrolment.$Properties|null|undefined} enrolment
             * @memberof waystone.v1.Config
             * @instance
             */
            Config.prototype.enrolment = null;

            /**
             * Encodes the specified Config message. Does not implicitly {@link waystone.v1.Config.verify|verify} messages.
             * @function encode
             * @memberof waystone.v1.Config
             * @static
             * @param {waystone.v1.Config.$Properties} message Config message or plain object to encode
             * @param {$protobuf.Writer} [writer] Writer to encode to
             * @returns {$protobuf.Writer} Writer
             */
            Config.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.realm != null && $Object.hasOwnProperty.call(message, "realm") && message.realm.length)
                    writer.uint32(/* id 1, wireType 2 =*/10).bytes(message.realm);
                if (message.streams != null && message.streams.length)
                    for (let i = 0; i < message.streams.length; ++i)
                        $root.waystone.v1.Config.Stream.encode(message.streams[i], writer.uint32(/* id 2, wireType 2 =*/18).fork(), _depth + 1).ldelim();
                if (message.envelopeBytesMax != null && $Object.hasOwnProperty.call(message, "envelopeBytesMax") && message.envelopeBytesMax !== 0)
                    writer.uint32(/* id 3, wireType 0 =*/24).uint32(message.envelopeBytesMax);
                if (message.gateway != null && $Object.hasOwnProperty.call(message, "gateway") && message.gateway !== "")
                    writer.uint32(/* id 4, wireType 2 =*/34).string(message.gateway);
                if (message.nextKeyHash != null && $Object.hasOwnProperty.call(message, "nextKeyHash") && message.nextKeyHash.length)
                    writer.uint32(/* id 5, wireType 2 =*/42).bytes(message.nextKeyHash);
                if (message.enrolment != null && $Object.hasOwnProperty.call(message, "enrolment"))
                    $root.waystone.v1.Config.Enrolment.encode(message.enrolment, writer.uint32(/* id 6, wireType 2 =*/50).fork(), _depth + 1).ldelim();
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            /**
             * Decodes a Config message from the specified reader or buffer.
             * @function decode
             * @memberof waystone.v1.Config
             * @static
             * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
             * @param {number} [length] Message length if known beforehand
             * @returns {waystone.v1.Config & waystone.v1.Config.$Shape} Config
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            Config.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message, value;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.waystone.v1.Config();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.realm = value;
                            else
                                delete message.realm;
                            continue;
                        }
                    case 2: {
                            if (wireType !== 2)
                                break;
                            if (!(message.streams && message.streams.length))
                                message.streams = [];
                            message.streams.push($root.waystone.v1.Config.Stream.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            if (value = reader.uint32())
                                message.envelopeBytesMax = value;
                            else
                                delete message.envelopeBytesMax;
                            continue;
                        }
                    case 4: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.stringVerify()).length)
                                message.gateway = value;
                            else
                                delete message.gateway;
                            continue;
                        }
                    case 5: {
                            if (wireType !== 2)
                                break;
                            if ((value = reader.bytes()).length)
                                message.nextKeyHash = value;
                            else
                                delete message.nextKeyHash;
                            continue;
                        }
                    case 6: {
                            if (wireType !== 2)
                                break;
                            message.enrolment = $root.waystone.v1.Config.Enrolment.decode(reader, reader.size(), $undefined, _depth + 1, message.enrolment);
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            Config.Enrolment = (function() {

                /**
                 * Properties of an Enrolment.
                 * @typedef {Object} waystone.v1.Config.Enrolment.$Properties
                 * @property {number|null} [chainId] Enrolment chainId
                 * @property {Uint8Array|null} [registry] Enrolment registry
                 * @property {Uint8Array|null} [idao] Enrolment idao
                 * @property {number|null} [expiry] Enrolment expiry
                 * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
                 */

                /**
                 * Properties of an Enrolment.
                 * @memberof waystone.v1.Config
                 * @interface IEnrolment
                 * @augments waystone.v1.Config.Enrolment.$Properties
                 * @deprecated Use waystone.v1.Config.Enrolment.$Properties instead.
                 */

                /**
                 * Shape of an Enrolment.
                 * @typedef {waystone.v1.Config.Enrolment.$Properties} waystone.v1.Config.Enrolment.$Shape
                 */

                /**
                 * Constructs a new Enrolment.
                 * @memberof waystone.v1.Config
                 * @classdesc Represents an Enrolment.
                 * @constructor
                 * @param {waystone.v1.Config.Enrolment.$Properties=} [properties] Properties to set
                 * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
                 */
                const Enrolment = function (properties) {
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                /**
                 * Enrolment chainId.
                 * @member {number} chainId
                 * @memberof waystone.v1.Config.Enrolment
                 * @instance
                 */
                Enrolment.prototype.chainId = 0;

                /**
                 * Enrolment registry.
                 * @member {Uint8Array} registry
                 * @memberof waystone.v1.Config.Enrolment
                 * @instance
                 */
                Enrolment.prototype.registry = $util.newBuffer([]);

                /**
                 * Enrolment idao.
                 * @member {Uint8Array} idao
                 * @memberof waystone.v1.Config.Enrolment
                 * @instance
                 */
                Enrolment.prototype.idao = $util.newBuffer([]);

                /**
                 * Enrolment expiry.
                 * @member {number} expiry
                 * @memberof waystone.v1.Config.Enrolment
                 * @instance
                 */
                Enrolment.prototype.expiry = 0;

                /**
                 * Encodes the specified Enrolment message. Does not implicitly {@link waystone.v1.Config.Enrolment.verify|verify} messages.
                 * @function encode
                 * @memberof waystone.v1.Config.Enrolment
                 * @static
                 * @param {waystone.v1.Config.Enrolment.$Properties} message Enrolment message or plain object to encode
                 * @param {$protobuf.Writer} [writer] Writer to encode to
                 * @returns {$protobuf.Writer} Writer
                 */
                Enrolment.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.chainId != null && $Object.hasOwnProperty.call(message, "chainId") && (typeof message.chainId === "object" ? message.chainId.low || message.chainId.high : message.chainId !== 0))
                        writer.uint32(/* id 1, wireType 0 =*/8).uint64(message.chainId);
                    if (message.registry != null && $Object.hasOwnProperty.call(message, "registry") && message.registry.length)
                        writer.uint32(/* id 2, wireType 2 =*/18).bytes(message.registry);
                    if (message.idao != null && $Object.hasOwnProperty.call(message, "idao") && message.idao.length)
                        writer.uint32(/* id 3, wireType 2 =*/26).bytes(message.idao);
                    if (message.expiry != null && $Object.hasOwnProperty.call(message, "expiry") && (typeof message.expiry === "object" ? message.expiry.low || message.expiry.high : message.expiry !== 0))
                        writer.uint32(/* id 4, wireType 0 =*/32).uint64(message.expiry);
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                /**
                 * Decodes an Enrolment message from the specified reader or buffer.
                 * @function decode
                 * @memberof waystone.v1.Config.Enrolment
                 * @static
                 * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
                 * @param {number} [length] Message length if known beforehand
                 * @returns {waystone.v1.Config.Enrolment & waystone.v1.Config.Enrolment.$Shape} Enrolment
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                Enrolment.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.waystone.v1.Config.Enrolment();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 0)
                                    break;
                                if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                    message.chainId = value;
                                else
                                    delete message.chainId;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.bytes()).length)
                                    message.registry = value;
                                else
                                    delete message.registry;
                                continue;
                            }
                        case 3: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.bytes()).length)
                                    message.idao = value;
                                else
                                    delete message.idao;
                                continue;
                            }
                        case 4: {
                                if (wireType !== 0)
                                    break;
                                if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                    message.expiry = value;
                                else
                                    delete message.expiry;
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                return Enrolment;
            })();

            Config.Stream = (function() {

                /**
                 * Properties of a Stream.
                 * @typedef {Object} waystone.v1.Config.Stream.$Properties
                 * @property {number|null} [id] Stream id
                 * @property {string|null} [name] Stream name
                 * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
                 */

                /**
                 * Properties of a Stream.
                 * @memberof waystone.v1.Config
                 * @interface IStream
                 * @augments waystone.v1.Config.Stream.$Properties
                 * @deprecated Use waystone.v1.Config.Stream.$Properties instead.
                 */

                /**
                 * Shape of a Stream.
                 * @typedef {waystone.v1.Config.Stream.$Properties} waystone.v1.Config.Stream.$Shape
                 */

                /**
                 * Constructs a new Stream.
                 * @memberof waystone.v1.Config
                 * @classdesc Represents a Stream.
                 * @constructor
                 * @param {waystone.v1.Config.Stream.$Properties=} [properties] Properties to set
                 * @property {Array.<Uint8Array>} [$unknowns] Unknown fields preserved while decoding when enabled
                 */
                const Stream = function (properties) {
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                /**
                 * Stream id.
                 * @member {number} id
                 * @memberof waystone.v1.Config.Stream
                 * @instance
                 */
                Stream.prototype.id = 0;

                /**
                 * Stream name.
                 * @member {string} name
                 * @memberof waystone.v1.Config.Stream
                 * @instance
                 */
                Stream.prototype.name = "";

                /**
                 * Encodes the specified Stream message. Does not implicitly {@link waystone.v1.Config.Stream.verify|verify} messages.
                 * @function encode
                 * @memberof waystone.v1.Config.Stream
                 * @static
                 * @param {waystone.v1.Config.Stream.$Properties} message Stream message or plain object to encode
                 * @param {$protobuf.Writer} [writer] Writer to encode to
                 * @returns {$protobuf.Writer} Writer
                 */
                Stream.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.id != null && $Object.hasOwnProperty.call(message, "id") && message.id !== 0)
                        writer.uint32(/* id 1, wireType 0 =*/8).uint32(message.id);
                    if (message.name != null && $Object.hasOwnProperty.call(message, "name") && message.name !== "")
                        writer.uint32(/* id 2, wireType 2 =*/18).string(message.name);
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                /**
                 * Decodes a Stream message from the specified reader or buffer.
                 * @function decode
                 * @memberof waystone.v1.Config.Stream
                 * @static
                 * @param {$protobuf.Reader|Uint8Array} reader Reader or buffer to decode from
                 * @param {number} [length] Message length if known beforehand
                 * @returns {waystone.v1.Config.Stream & waystone.v1.Config.Stream.$Shape} Stream
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                Stream.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.waystone.v1.Config.Stream();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.uint32())
                                    message.id = value;
                                else
                                    delete message.id;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.name = value;
                                else
                                    delete message.name;
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                return Stream;
            })();

            return Config;
        })();

        return v1;
    })();

    return waystone;
})();

export {
  $root as default
};
