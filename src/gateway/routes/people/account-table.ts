/**
 * The routes of accounts: what people do with their own, and operators with all, in one array.
 *
 * Roles: `operator:accounts` opens what changes accounts and invites people, `operator:accounts:read` the reading of
 * them. What a person does for themselves asks for no role.
 * @module
 */
import type { PatternRoute } from '../pattern-routes.ts';
import type { AccountParts } from './account-parts.ts';
import { changeAccount, listAccounts, logOutAccount, resetSecondFactor, showAccount } from './accounts.ts';
import { askForConfirmation, confirmEmail } from './email.ts';
import { invite } from './invitations.ts';
import { changeOwnAccount, eraseOwnAccount, showOwnAccount } from './own-account.ts';
import { addOwnKey, revokeOwnKey } from './own-keys.ts';
import { changePassword, forgotPassword, resetPassword } from './password.ts';
import { register } from './register.ts';

const OWN = '/v1/account';
const ACCOUNT = '/v1/accounts/{id}';

export function accountRoutes(parts: AccountParts): readonly PatternRoute[] {
  return [
    { method: 'POST', path: '/v1/register', route: register(parts) },
    { method: 'GET', path: OWN, route: showOwnAccount(parts) },
    { method: 'PATCH', path: OWN, route: changeOwnAccount(parts) },
    { method: 'DELETE', path: OWN, route: eraseOwnAccount(parts) },
    { method: 'POST', path: `${OWN}/password`, route: changePassword(parts) },
    { method: 'POST', path: `${OWN}/email`, route: askForConfirmation(parts) },
    { method: 'POST', path: `${OWN}/email/confirm`, route: confirmEmail(parts) },
    { method: 'POST', path: `${OWN}/keys`, route: addOwnKey(parts) },
    { method: 'DELETE', path: `${OWN}/keys/{keyid}`, route: revokeOwnKey(parts) },
    { method: 'POST', path: '/v1/password/forgot', route: forgotPassword(parts) },
    { method: 'POST', path: '/v1/password/reset', route: resetPassword(parts) },
    { method: 'POST', path: '/v1/invitations', route: invite(parts) },
    { method: 'GET', path: '/v1/accounts', route: listAccounts(parts) },
    { method: 'GET', path: ACCOUNT, route: showAccount(parts) },
    { method: 'PATCH', path: ACCOUNT, route: changeAccount(parts) },
    { method: 'POST', path: `${ACCOUNT}/second-factor/reset`, route: resetSecondFactor(parts) },
    { method: 'POST', path: `${ACCOUNT}/logout`, route: logOutAccount(parts) },
  ];
}
