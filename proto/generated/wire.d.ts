import * as $protobuf from "protobufjs";
import Long = require("long");

/** Namespace waystone. */
export namespace waystone {

    /** Namespace v1. */
    namespace v1 {

        /**
         * Properties of a Frame.
         * @deprecated Use waystone.v1.Frame.$Properties instead.
         */
        interface IFrame extends waystone.v1.Frame.$Properties {
        }

        /** Represents a Frame. */
        class Frame {

            /**
             * Constructs a new Frame.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.Frame.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Frame salt. */
            salt: Uint8Array;

            /** Frame timeUs. */
            timeUs: number;

            /** Frame clock. */
            clock?: (waystone.v1.Clock.$Properties|null);

            /** Frame position. */
            position?: (waystone.v1.Position.$Properties|null);

            /** Frame motion. */
            motion?: (waystone.v1.Motion.$Properties|null);

            /** Frame imu. */
            imu: waystone.v1.ImuSample.$Properties[];

            /** Frame wheelSpeeds. */
            wheelSpeeds: waystone.v1.WheelSpeeds.$Properties[];

            /** Frame can. */
            can: waystone.v1.CanFrame.$Properties[];

            /** Frame blobs. */
            blobs: waystone.v1.BlobReference.$Properties[];

            /** Frame integrity. */
            integrity?: (waystone.v1.Integrity.$Properties|null);

            /** Frame rawGnss. */
            rawGnss: Uint8Array;

            /** Frame discarded. */
            discarded?: (waystone.v1.Discarded.$Properties|null);

            /**
             * Encodes the specified Frame message. Does not implicitly {@link waystone.v1.Frame.verify|verify} messages.
             * @param message Frame message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.Frame.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Frame message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.Frame & waystone.v1.Frame.$Shape} Frame
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Frame & waystone.v1.Frame.$Shape;
        }

        namespace Frame {

            /** Properties of a Frame. */
            interface $Properties {

                /** Frame salt */
                salt?: (Uint8Array|null);

                /** Frame timeUs */
                timeUs?: (number|null);

                /** Frame clock */
                clock?: (waystone.v1.Clock.$Properties|null);

                /** Frame position */
                position?: (waystone.v1.Position.$Properties|null);

                /** Frame motion */
                motion?: (waystone.v1.Motion.$Properties|null);

                /** Frame imu */
                imu?: (waystone.v1.ImuSample.$Properties[]|null);

                /** Frame wheelSpeeds */
                wheelSpeeds?: (waystone.v1.WheelSpeeds.$Properties[]|null);

                /** Frame can */
                can?: (waystone.v1.CanFrame.$Properties[]|null);

                /** Frame blobs */
                blobs?: (waystone.v1.BlobReference.$Properties[]|null);

                /** Frame integrity */
                integrity?: (waystone.v1.Integrity.$Properties|null);

                /** Frame rawGnss */
                rawGnss?: (Uint8Array|null);

                /** Frame discarded */
                discarded?: (waystone.v1.Discarded.$Properties|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Frame. */
            type $Shape = waystone.v1.Frame.$Properties;
        }

        /** TimeSource enum. */
        enum TimeSource {

            /** TIME_SOURCE_UNSPECIFIED value */
            TIME_SOURCE_UNSPECIFIED = 0,

            /** TIME_SOURCE_GNSS value */
            TIME_SOURCE_GNSS = 1,

            /** TIME_SOURCE_NTP value */
            TIME_SOURCE_NTP = 2,

            /** TIME_SOURCE_PTP value */
            TIME_SOURCE_PTP = 3,

            /** TIME_SOURCE_RTC value */
            TIME_SOURCE_RTC = 4,

            /** TIME_SOURCE_CELLULAR value */
            TIME_SOURCE_CELLULAR = 5,

            /** TIME_SOURCE_MONOTONIC value */
            TIME_SOURCE_MONOTONIC = 6
        }

        /**
         * Properties of a Clock.
         * @deprecated Use waystone.v1.Clock.$Properties instead.
         */
        interface IClock extends waystone.v1.Clock.$Properties {
        }

        /** Represents a Clock. */
        class Clock {

            /**
             * Constructs a new Clock.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.Clock.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Clock source. */
            source: waystone.v1.TimeSource;

            /** Clock leapSeconds. */
            leapSeconds?: (number|null);

            /** Clock accuracyNs. */
            accuracyNs?: (number|null);

            /**
             * Encodes the specified Clock message. Does not implicitly {@link waystone.v1.Clock.verify|verify} messages.
             * @param message Clock message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.Clock.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Clock message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.Clock & waystone.v1.Clock.$Shape} Clock
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Clock & waystone.v1.Clock.$Shape;
        }

        namespace Clock {

            /** Properties of a Clock. */
            interface $Properties {

                /** Clock source */
                source?: (waystone.v1.TimeSource|null);

                /** Clock leapSeconds */
                leapSeconds?: (number|null);

                /** Clock accuracyNs */
                accuracyNs?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Clock. */
            type $Shape = waystone.v1.Clock.$Properties;
        }

        /** FixType enum. */
        enum FixType {

            /** FIX_TYPE_UNSPECIFIED value */
            FIX_TYPE_UNSPECIFIED = 0,

            /** FIX_TYPE_NONE value */
            FIX_TYPE_NONE = 1,

            /** FIX_TYPE_2D value */
            FIX_TYPE_2D = 2,

            /** FIX_TYPE_3D value */
            FIX_TYPE_3D = 3,

            /** FIX_TYPE_DGNSS value */
            FIX_TYPE_DGNSS = 4,

            /** FIX_TYPE_RTK_FLOAT value */
            FIX_TYPE_RTK_FLOAT = 5,

            /** FIX_TYPE_RTK_FIXED value */
            FIX_TYPE_RTK_FIXED = 6,

            /** FIX_TYPE_PPP value */
            FIX_TYPE_PPP = 7,

            /** FIX_TYPE_DEAD_RECKONING value */
            FIX_TYPE_DEAD_RECKONING = 8,

            /** FIX_TYPE_GNSS_DEAD_RECKONING value */
            FIX_TYPE_GNSS_DEAD_RECKONING = 9,

            /** FIX_TYPE_MANUAL value */
            FIX_TYPE_MANUAL = 10,

            /** FIX_TYPE_SIMULATED value */
            FIX_TYPE_SIMULATED = 11,

            /** FIX_TYPE_UNKNOWN value */
            FIX_TYPE_UNKNOWN = 12
        }

        /** CovarianceType enum. */
        enum CovarianceType {

            /** COVARIANCE_TYPE_UNKNOWN value */
            COVARIANCE_TYPE_UNKNOWN = 0,

            /** COVARIANCE_TYPE_APPROXIMATED value */
            COVARIANCE_TYPE_APPROXIMATED = 1,

            /** COVARIANCE_TYPE_DIAGONAL_KNOWN value */
            COVARIANCE_TYPE_DIAGONAL_KNOWN = 2,

            /** COVARIANCE_TYPE_KNOWN value */
            COVARIANCE_TYPE_KNOWN = 3
        }

        /**
         * Properties of a Position.
         * @deprecated Use waystone.v1.Position.$Properties instead.
         */
        interface IPosition extends waystone.v1.Position.$Properties {
        }

        /** Represents a Position. */
        class Position {

            /**
             * Constructs a new Position.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.Position.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Position latitudeE9. */
            latitudeE9: number;

            /** Position longitudeE9. */
            longitudeE9: number;

            /** Position heightEllipsoidMm. */
            heightEllipsoidMm?: (number|null);

            /** Position heightMslMm. */
            heightMslMm?: (number|null);

            /** Position geoidSeparationMm. */
            geoidSeparationMm?: (number|null);

            /** Position fix. */
            fix: waystone.v1.FixType;

            /** Position positionCovarianceMm2. */
            positionCovarianceMm2: number[];

            /** Position covarianceType. */
            covarianceType: waystone.v1.CovarianceType;

            /** Position hdopE2. */
            hdopE2?: (number|null);

            /** Position satellitesUsed. */
            satellitesUsed?: (number|null);

            /** Position correctionAgeMs. */
            correctionAgeMs?: (number|null);

            /** Position crs. */
            crs: string;

            /** Position epochMilliyear. */
            epochMilliyear?: (number|null);

            /** Position sensorFrame. */
            sensorFrame: string;

            /**
             * Encodes the specified Position message. Does not implicitly {@link waystone.v1.Position.verify|verify} messages.
             * @param message Position message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.Position.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Position message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.Position & waystone.v1.Position.$Shape} Position
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Position & waystone.v1.Position.$Shape;
        }

        namespace Position {

            /** Properties of a Position. */
            interface $Properties {

                /** Position latitudeE9 */
                latitudeE9?: (number|null);

                /** Position longitudeE9 */
                longitudeE9?: (number|null);

                /** Position heightEllipsoidMm */
                heightEllipsoidMm?: (number|null);

                /** Position heightMslMm */
                heightMslMm?: (number|null);

                /** Position geoidSeparationMm */
                geoidSeparationMm?: (number|null);

                /** Position fix */
                fix?: (waystone.v1.FixType|null);

                /** Position positionCovarianceMm2 */
                positionCovarianceMm2?: (number[]|null);

                /** Position covarianceType */
                covarianceType?: (waystone.v1.CovarianceType|null);

                /** Position hdopE2 */
                hdopE2?: (number|null);

                /** Position satellitesUsed */
                satellitesUsed?: (number|null);

                /** Position correctionAgeMs */
                correctionAgeMs?: (number|null);

                /** Position crs */
                crs?: (string|null);

                /** Position epochMilliyear */
                epochMilliyear?: (number|null);

                /** Position sensorFrame */
                sensorFrame?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Position. */
            type $Shape = waystone.v1.Position.$Properties;
        }

        /**
         * Properties of a Motion.
         * @deprecated Use waystone.v1.Motion.$Properties instead.
         */
        interface IMotion extends waystone.v1.Motion.$Properties {
        }

        /** Represents a Motion. */
        class Motion {

            /**
             * Constructs a new Motion.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.Motion.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Motion groundSpeedMmS. */
            groundSpeedMmS?: (number|null);

            /** Motion courseE5. */
            courseE5?: (number|null);

            /** Motion velocityEastMmS. */
            velocityEastMmS?: (number|null);

            /** Motion velocityNorthMmS. */
            velocityNorthMmS?: (number|null);

            /** Motion velocityUpMmS. */
            velocityUpMmS?: (number|null);

            /** Motion rollE5. */
            rollE5?: (number|null);

            /** Motion pitchE5. */
            pitchE5?: (number|null);

            /** Motion headingE5. */
            headingE5?: (number|null);

            /**
             * Encodes the specified Motion message. Does not implicitly {@link waystone.v1.Motion.verify|verify} messages.
             * @param message Motion message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.Motion.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Motion message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.Motion & waystone.v1.Motion.$Shape} Motion
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Motion & waystone.v1.Motion.$Shape;
        }

        namespace Motion {

            /** Properties of a Motion. */
            interface $Properties {

                /** Motion groundSpeedMmS */
                groundSpeedMmS?: (number|null);

                /** Motion courseE5 */
                courseE5?: (number|null);

                /** Motion velocityEastMmS */
                velocityEastMmS?: (number|null);

                /** Motion velocityNorthMmS */
                velocityNorthMmS?: (number|null);

                /** Motion velocityUpMmS */
                velocityUpMmS?: (number|null);

                /** Motion rollE5 */
                rollE5?: (number|null);

                /** Motion pitchE5 */
                pitchE5?: (number|null);

                /** Motion headingE5 */
                headingE5?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Motion. */
            type $Shape = waystone.v1.Motion.$Properties;
        }

        /**
         * Properties of an ImuSample.
         * @deprecated Use waystone.v1.ImuSample.$Properties instead.
         */
        interface IImuSample extends waystone.v1.ImuSample.$Properties {
        }

        /** Represents an ImuSample. */
        class ImuSample {

            /**
             * Constructs a new ImuSample.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.ImuSample.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** ImuSample offsetUs. */
            offsetUs: number;

            /** ImuSample accelerationMS2. */
            accelerationMS2: number[];

            /** ImuSample angularRateRadS. */
            angularRateRadS: number[];

            /** ImuSample magneticFieldUt. */
            magneticFieldUt: number[];

            /** ImuSample sensorFrame. */
            sensorFrame: string;

            /**
             * Encodes the specified ImuSample message. Does not implicitly {@link waystone.v1.ImuSample.verify|verify} messages.
             * @param message ImuSample message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.ImuSample.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an ImuSample message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.ImuSample & waystone.v1.ImuSample.$Shape} ImuSample
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.ImuSample & waystone.v1.ImuSample.$Shape;
        }

        namespace ImuSample {

            /** Properties of an ImuSample. */
            interface $Properties {

                /** ImuSample offsetUs */
                offsetUs?: (number|null);

                /** ImuSample accelerationMS2 */
                accelerationMS2?: (number[]|null);

                /** ImuSample angularRateRadS */
                angularRateRadS?: (number[]|null);

                /** ImuSample magneticFieldUt */
                magneticFieldUt?: (number[]|null);

                /** ImuSample sensorFrame */
                sensorFrame?: (string|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an ImuSample. */
            type $Shape = waystone.v1.ImuSample.$Properties;
        }

        /**
         * Properties of a WheelSpeeds.
         * @deprecated Use waystone.v1.WheelSpeeds.$Properties instead.
         */
        interface IWheelSpeeds extends waystone.v1.WheelSpeeds.$Properties {
        }

        /** Represents a WheelSpeeds. */
        class WheelSpeeds {

            /**
             * Constructs a new WheelSpeeds.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.WheelSpeeds.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** WheelSpeeds offsetUs. */
            offsetUs: number;

            /** WheelSpeeds frontLeftMmS. */
            frontLeftMmS?: (number|null);

            /** WheelSpeeds frontRightMmS. */
            frontRightMmS?: (number|null);

            /** WheelSpeeds rearLeftMmS. */
            rearLeftMmS?: (number|null);

            /** WheelSpeeds rearRightMmS. */
            rearRightMmS?: (number|null);

            /**
             * Encodes the specified WheelSpeeds message. Does not implicitly {@link waystone.v1.WheelSpeeds.verify|verify} messages.
             * @param message WheelSpeeds message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.WheelSpeeds.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a WheelSpeeds message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.WheelSpeeds & waystone.v1.WheelSpeeds.$Shape} WheelSpeeds
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.WheelSpeeds & waystone.v1.WheelSpeeds.$Shape;
        }

        namespace WheelSpeeds {

            /** Properties of a WheelSpeeds. */
            interface $Properties {

                /** WheelSpeeds offsetUs */
                offsetUs?: (number|null);

                /** WheelSpeeds frontLeftMmS */
                frontLeftMmS?: (number|null);

                /** WheelSpeeds frontRightMmS */
                frontRightMmS?: (number|null);

                /** WheelSpeeds rearLeftMmS */
                rearLeftMmS?: (number|null);

                /** WheelSpeeds rearRightMmS */
                rearRightMmS?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a WheelSpeeds. */
            type $Shape = waystone.v1.WheelSpeeds.$Properties;
        }

        /**
         * Properties of a CanFrame.
         * @deprecated Use waystone.v1.CanFrame.$Properties instead.
         */
        interface ICanFrame extends waystone.v1.CanFrame.$Properties {
        }

        /** Represents a CanFrame. */
        class CanFrame {

            /**
             * Constructs a new CanFrame.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.CanFrame.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** CanFrame offsetUs. */
            offsetUs: number;

            /** CanFrame id. */
            id: number;

            /** CanFrame extended. */
            extended: boolean;

            /** CanFrame data. */
            data: Uint8Array;

            /** CanFrame bus. */
            bus: number;

            /**
             * Encodes the specified CanFrame message. Does not implicitly {@link waystone.v1.CanFrame.verify|verify} messages.
             * @param message CanFrame message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.CanFrame.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a CanFrame message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.CanFrame & waystone.v1.CanFrame.$Shape} CanFrame
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.CanFrame & waystone.v1.CanFrame.$Shape;
        }

        namespace CanFrame {

            /** Properties of a CanFrame. */
            interface $Properties {

                /** CanFrame offsetUs */
                offsetUs?: (number|null);

                /** CanFrame id */
                id?: (number|null);

                /** CanFrame extended */
                extended?: (boolean|null);

                /** CanFrame data */
                data?: (Uint8Array|null);

                /** CanFrame bus */
                bus?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a CanFrame. */
            type $Shape = waystone.v1.CanFrame.$Properties;
        }

        /**
         * Properties of a BlobReference.
         * @deprecated Use waystone.v1.BlobReference.$Properties instead.
         */
        interface IBlobReference extends waystone.v1.BlobReference.$Properties {
        }

        /** Represents a BlobReference. */
        class BlobReference {

            /**
             * Constructs a new BlobReference.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.BlobReference.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** BlobReference sha256. */
            sha256: Uint8Array;

            /** BlobReference sizeBytes. */
            sizeBytes: number;

            /** BlobReference mediaType. */
            mediaType: string;

            /** BlobReference sensorFrame. */
            sensorFrame: string;

            /** BlobReference offsetUs. */
            offsetUs: number;

            /**
             * Encodes the specified BlobReference message. Does not implicitly {@link waystone.v1.BlobReference.verify|verify} messages.
             * @param message BlobReference message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.BlobReference.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a BlobReference message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.BlobReference & waystone.v1.BlobReference.$Shape} BlobReference
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.BlobReference & waystone.v1.BlobReference.$Shape;
        }

        namespace BlobReference {

            /** Properties of a BlobReference. */
            interface $Properties {

                /** BlobReference sha256 */
                sha256?: (Uint8Array|null);

                /** BlobReference sizeBytes */
                sizeBytes?: (number|null);

                /** BlobReference mediaType */
                mediaType?: (string|null);

                /** BlobReference sensorFrame */
                sensorFrame?: (string|null);

                /** BlobReference offsetUs */
                offsetUs?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a BlobReference. */
            type $Shape = waystone.v1.BlobReference.$Properties;
        }

        /**
         * Properties of an Integrity.
         * @deprecated Use waystone.v1.Integrity.$Properties instead.
         */
        interface IIntegrity extends waystone.v1.Integrity.$Properties {
        }

        /** Represents an Integrity. */
        class Integrity {

            /**
             * Constructs a new Integrity.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.Integrity.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Integrity jammingIndicator. */
            jammingIndicator?: (number|null);

            /** Integrity spoofing. */
            spoofing: waystone.v1.Integrity.SpoofingState;

            /**
             * Encodes the specified Integrity message. Does not implicitly {@link waystone.v1.Integrity.verify|verify} messages.
             * @param message Integrity message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.Integrity.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an Integrity message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.Integrity & waystone.v1.Integrity.$Shape} Integrity
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Integrity & waystone.v1.Integrity.$Shape;
        }

        namespace Integrity {

            /** Properties of an Integrity. */
            interface $Properties {

                /** Integrity jammingIndicator */
                jammingIndicator?: (number|null);

                /** Integrity spoofing */
                spoofing?: (waystone.v1.Integrity.SpoofingState|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an Integrity. */
            type $Shape = waystone.v1.Integrity.$Properties;

            /** SpoofingState enum. */
            enum SpoofingState {

                /** SPOOFING_STATE_UNSPECIFIED value */
                SPOOFING_STATE_UNSPECIFIED = 0,

                /** SPOOFING_STATE_NONE value */
                SPOOFING_STATE_NONE = 1,

                /** SPOOFING_STATE_INDICATED value */
                SPOOFING_STATE_INDICATED = 2,

                /** SPOOFING_STATE_MULTIPLE value */
                SPOOFING_STATE_MULTIPLE = 3
            }
        }

        /**
         * Properties of a Discarded.
         * @deprecated Use waystone.v1.Discarded.$Properties instead.
         */
        interface IDiscarded extends waystone.v1.Discarded.$Properties {
        }

        /** Represents a Discarded. */
        class Discarded {

            /**
             * Constructs a new Discarded.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.Discarded.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Discarded stream. */
            stream: number;

            /** Discarded first. */
            first: number;

            /** Discarded last. */
            last: number;

            /** Discarded reason. */
            reason: waystone.v1.Discarded.Reason;

            /**
             * Encodes the specified Discarded message. Does not implicitly {@link waystone.v1.Discarded.verify|verify} messages.
             * @param message Discarded message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.Discarded.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Discarded message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.Discarded & waystone.v1.Discarded.$Shape} Discarded
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Discarded & waystone.v1.Discarded.$Shape;
        }

        namespace Discarded {

            /** Properties of a Discarded. */
            interface $Properties {

                /** Discarded stream */
                stream?: (number|null);

                /** Discarded first */
                first?: (number|null);

                /** Discarded last */
                last?: (number|null);

                /** Discarded reason */
                reason?: (waystone.v1.Discarded.Reason|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Discarded. */
            type $Shape = waystone.v1.Discarded.$Properties;

            /** Reason enum. */
            enum Reason {

                /** REASON_UNSPECIFIED value */
                REASON_UNSPECIFIED = 0,

                /** REASON_STORAGE_FULL value */
                REASON_STORAGE_FULL = 1,

                /** REASON_QUEUE_FULL value */
                REASON_QUEUE_FULL = 2,

                /** REASON_SENSOR_FAULT value */
                REASON_SENSOR_FAULT = 3,

                /** REASON_POWER value */
                REASON_POWER = 4
            }
        }

        /**
         * Properties of a Hello.
         * @deprecated Use waystone.v1.Hello.$Properties instead.
         */
        interface IHello extends waystone.v1.Hello.$Properties {
        }

        /** Represents a Hello. */
        class Hello {

            /**
             * Constructs a new Hello.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.Hello.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Hello state. */
            state: waystone.v1.Hello.State;

            /** Hello session. */
            session: Uint8Array;

            /** Hello counter. */
            counter: number;

            /** Hello queuedSessions. */
            queuedSessions: Uint8Array[];

            /** Hello wantedReceipts. */
            wantedReceipts: waystone.v1.StatementReference.$Properties[];

            /** Hello software. */
            software: string;

            /** Hello enrolment. */
            enrolment?: (waystone.v1.EnrolmentProof.$Properties|null);

            /**
             * Encodes the specified Hello message. Does not implicitly {@link waystone.v1.Hello.verify|verify} messages.
             * @param message Hello message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.Hello.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Hello message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.Hello & waystone.v1.Hello.$Shape} Hello
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Hello & waystone.v1.Hello.$Shape;
        }

        namespace Hello {

            /** Properties of a Hello. */
            interface $Properties {

                /** Hello state */
                state?: (waystone.v1.Hello.State|null);

                /** Hello session */
                session?: (Uint8Array|null);

                /** Hello counter */
                counter?: (number|null);

                /** Hello queuedSessions */
                queuedSessions?: (Uint8Array[]|null);

                /** Hello wantedReceipts */
                wantedReceipts?: (waystone.v1.StatementReference.$Properties[]|null);

                /** Hello software */
                software?: (string|null);

                /** Hello enrolment */
                enrolment?: (waystone.v1.EnrolmentProof.$Properties|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Hello. */
            type $Shape = waystone.v1.Hello.$Properties;

            /** State enum. */
            enum State {

                /** STATE_UNSPECIFIED value */
                STATE_UNSPECIFIED = 0,

                /** STATE_ONLINE value */
                STATE_ONLINE = 1,

                /** STATE_OFFLINE value */
                STATE_OFFLINE = 2
            }
        }

        /**
         * Properties of an EnrolmentProof.
         * @deprecated Use waystone.v1.EnrolmentProof.$Properties instead.
         */
        interface IEnrolmentProof extends waystone.v1.EnrolmentProof.$Properties {
        }

        /** Represents an EnrolmentProof. */
        class EnrolmentProof {

            /**
             * Constructs a new EnrolmentProof.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.EnrolmentProof.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** EnrolmentProof expiry. */
            expiry: number;

            /** EnrolmentProof signature. */
            signature: Uint8Array;

            /**
             * Encodes the specified EnrolmentProof message. Does not implicitly {@link waystone.v1.EnrolmentProof.verify|verify} messages.
             * @param message EnrolmentProof message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.EnrolmentProof.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an EnrolmentProof message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.EnrolmentProof & waystone.v1.EnrolmentProof.$Shape} EnrolmentProof
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.EnrolmentProof & waystone.v1.EnrolmentProof.$Shape;
        }

        namespace EnrolmentProof {

            /** Properties of an EnrolmentProof. */
            interface $Properties {

                /** EnrolmentProof expiry */
                expiry?: (number|null);

                /** EnrolmentProof signature */
                signature?: (Uint8Array|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of an EnrolmentProof. */
            type $Shape = waystone.v1.EnrolmentProof.$Properties;
        }

        /**
         * Properties of a StatementReference.
         * @deprecated Use waystone.v1.StatementReference.$Properties instead.
         */
        interface IStatementReference extends waystone.v1.StatementReference.$Properties {
        }

        /** Represents a StatementReference. */
        class StatementReference {

            /**
             * Constructs a new StatementReference.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.StatementReference.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** StatementReference session. */
            session: Uint8Array;

            /** StatementReference stream. */
            stream: number;

            /** StatementReference firstSequence. */
            firstSequence: number;

            /**
             * Encodes the specified StatementReference message. Does not implicitly {@link waystone.v1.StatementReference.verify|verify} messages.
             * @param message StatementReference message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.StatementReference.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a StatementReference message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.StatementReference & waystone.v1.StatementReference.$Shape} StatementReference
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.StatementReference & waystone.v1.StatementReference.$Shape;
        }

        namespace StatementReference {

            /** Properties of a StatementReference. */
            interface $Properties {

                /** StatementReference session */
                session?: (Uint8Array|null);

                /** StatementReference stream */
                stream?: (number|null);

                /** StatementReference firstSequence */
                firstSequence?: (number|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a StatementReference. */
            type $Shape = waystone.v1.StatementReference.$Properties;
        }

        /**
         * Properties of a Config.
         * @deprecated Use waystone.v1.Config.$Properties instead.
         */
        interface IConfig extends waystone.v1.Config.$Properties {
        }

        /** Represents a Config. */
        class Config {

            /**
             * Constructs a new Config.
             * @param [properties] Properties to set
             */
            constructor(properties?: waystone.v1.Config.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Config realm. */
            realm: Uint8Array;

            /** Config streams. */
            streams: waystone.v1.Config.Stream.$Properties[];

            /** Config envelopeBytesMax. */
            envelopeBytesMax: number;

            /** Config gateway. */
            gateway: string;

            /** Config nextKeyHash. */
            nextKeyHash: Uint8Array;

            /** Config enrolment. */
            enrolment?: (waystone.v1.Config.Enrolment.$Properties|null);

            /**
             * Encodes the specified Config message. Does not implicitly {@link waystone.v1.Config.verify|verify} messages.
             * @param message Config message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: waystone.v1.Config.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Config message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {waystone.v1.Config & waystone.v1.Config.$Shape} Config
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Config & waystone.v1.Config.$Shape;
        }

        namespace Config {

            /** Properties of a Config. */
            interface $Properties {

                /** Config realm */
                realm?: (Uint8Array|null);

                /** Config streams */
                streams?: (waystone.v1.Config.Stream.$Properties[]|null);

                /** Config envelopeBytesMax */
                envelopeBytesMax?: (number|null);

                /** Config gateway */
                gateway?: (string|null);

                /** Config nextKeyHash */
                nextKeyHash?: (Uint8Array|null);

                /** Config enrolment */
                enrolment?: (waystone.v1.Config.Enrolment.$Properties|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Config. */
            type $Shape = waystone.v1.Config.$Properties;

            /**
             * Properties of an Enrolment.
             * @deprecated Use waystone.v1.Config.Enrolment.$Properties instead.
             */
            interface IEnrolment extends waystone.v1.Config.Enrolment.$Properties {
            }

            /** Represents an Enrolment. */
            class Enrolment {

                /**
                 * Constructs a new Enrolment.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: waystone.v1.Config.Enrolment.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** Enrolment chainId. */
                chainId: number;

                /** Enrolment registry. */
                registry: Uint8Array;

                /** Enrolment idao. */
                idao: Uint8Array;

                /** Enrolment expiry. */
                expiry: number;

                /**
                 * Encodes the specified Enrolment message. Does not implicitly {@link waystone.v1.Config.Enrolment.verify|verify} messages.
                 * @param message Enrolment message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: waystone.v1.Config.Enrolment.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes an Enrolment message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {waystone.v1.Config.Enrolment & waystone.v1.Config.Enrolment.$Shape} Enrolment
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Config.Enrolment & waystone.v1.Config.Enrolment.$Shape;
            }

            namespace Enrolment {

                /** Properties of an Enrolment. */
                interface $Properties {

                    /** Enrolment chainId */
                    chainId?: (number|null);

                    /** Enrolment registry */
                    registry?: (Uint8Array|null);

                    /** Enrolment idao */
                    idao?: (Uint8Array|null);

                    /** Enrolment expiry */
                    expiry?: (number|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of an Enrolment. */
                type $Shape = waystone.v1.Config.Enrolment.$Properties;
            }

            /**
             * Properties of a Stream.
             * @deprecated Use waystone.v1.Config.Stream.$Properties instead.
             */
            interface IStream extends waystone.v1.Config.Stream.$Properties {
            }

            /** Represents a Stream. */
            class Stream {

                /**
                 * Constructs a new Stream.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: waystone.v1.Config.Stream.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** Stream id. */
                id: number;

                /** Stream name. */
                name: string;

                /**
                 * Encodes the specified Stream message. Does not implicitly {@link waystone.v1.Config.Stream.verify|verify} messages.
                 * @param message Stream message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: waystone.v1.Config.Stream.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes a Stream message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {waystone.v1.Config.Stream & waystone.v1.Config.Stream.$Shape} Stream
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): waystone.v1.Config.Stream & waystone.v1.Config.Stream.$Shape;
            }

            namespace Stream {

                /** Properties of a Stream. */
                interface $Properties {

                    /** Stream id */
                    id?: (number|null);

                    /** Stream name */
                    name?: (string|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of a Stream. */
                type $Shape = waystone.v1.Config.Stream.$Properties;
            }
        }
    }
}
