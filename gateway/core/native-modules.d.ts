/** The native binding itself: the plain import falls back to JavaScript, 30 times slower, without a word. */
declare module 'secp256k1/bindings.js' {
  import secp256k1 = require('secp256k1');
  export default secp256k1;
}

declare module 'sodium-native' {
  const sodium: {
    /** Ed25519 over the message itself. Throws for arguments of the wrong size. */
    crypto_sign_verify_detached(
      signature: Uint8Array,
      message: Uint8Array,
      publicKey: Uint8Array,
    ): boolean;
  };
  export default sodium;
}
