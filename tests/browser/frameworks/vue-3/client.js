import { app } from './page.js';

app().mount('#app');
