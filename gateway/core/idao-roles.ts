/** Roles of an iDAO's members, by the bits of the contract `IDAO`. */
export const ROLES = { member: 1, registrar: 2, licensor: 4, treasurer: 8 } as const;
export type Role = keyof typeof ROLES;
