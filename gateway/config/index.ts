/** Settings, home folder and keys of a gateway. */
export { defaultConfigFile } from './default-file.js';
export {
  type GatewayKey,
  type GatewayKeys,
  homePaths,
  initHome,
  isInitialised,
  loadKeys,
  loadToken,
} from './home.js';
export { CONFIG_FILE, type ConfigSources, homeFolder, loadConfig } from './load-config.js';
