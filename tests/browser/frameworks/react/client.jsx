import React from 'react';
import { hydrateRoot } from 'react-dom/client';
import { Page } from './page.jsx';

hydrateRoot(WHOLE ? document : document.getElementById('root'), <Page />);
