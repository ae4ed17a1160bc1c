import { renderToString } from 'vue/server-renderer';
import { app } from './page.js';

renderToString(app()).then(html => process.stdout.write(html));
